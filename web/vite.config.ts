import { readdir, readFile, writeFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, gzip } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const OUT = "../src/fairbook/gateway/page";
const COMPRESSED = new Set([".html", ".js", ".css", ".svg", ".txt"]);
const API = process.env.FAIRBOOK_URL ?? "http://127.0.0.1:8000";

/** Write each file compressed beside itself, for the server to send as it is. */
function compress(): Plugin {
  return {
    name: "compress",
    apply: "build",
    async closeBundle() {
      const entries = await readdir(OUT, { recursive: true, withFileTypes: true });
      const files = entries.filter(
        (entry) => entry.isFile() && COMPRESSED.has(extname(entry.name)),
      );
      await Promise.all(
        files.map(async (entry) => {
          const path = join(entry.parentPath, entry.name);
          const content = await readFile(path);
          await writeFile(`${path}.gz`, await promisify(gzip)(content, { level: 9 }));
          await writeFile(`${path}.br`, await promisify(brotliCompress)(content));
        }),
      );
    },
  };
}

export default defineConfig({
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0, // The content security policy allows no data: addresses.
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  plugins: [compress()],
  server: {
    proxy: {
      "/api": API,
      "/wapi": API,
      "/auth": API,
      "/openapi.json": API,
      "/streams.json": API,
      "/ws": { target: API, ws: true },
    },
  },
});
