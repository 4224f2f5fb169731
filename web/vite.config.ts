import { readdir, readFile, writeFile } from "node:fs/promises";
import { extname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, gzip } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const PUBLIC_OUT = "../src/fairbook/gateway/page";
const OPERATOR_OUT = "../src/fairbook/admin/page";
const COMPRESSED = new Set([".html", ".js", ".css", ".svg", ".txt"]);
const API = process.env.FAIRBOOK_URL ?? "http://127.0.0.1:8000";

/** Write each file compressed beside itself, for the server to send as it is. */
function compress(folder: string): Plugin {
  return {
    name: "compress",
    apply: "build",
    async closeBundle() {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true });
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

/** The public page; with `--mode operator` that of the operators, which has files of its own. */
export default defineConfig(({ mode }) => ({
  root: mode === "operator" ? "operator" : ".",
  publicDir: resolve("public"),
  build: {
    outDir: resolve(mode === "operator" ? OPERATOR_OUT : PUBLIC_OUT),
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0, // The content security policy allows no data: addresses.
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  plugins: [compress(resolve(mode === "operator" ? OPERATOR_OUT : PUBLIC_OUT))],
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
}));
