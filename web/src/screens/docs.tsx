/** The API, from /openapi.json and /streams.json, with requests that can be tried. */

import { signal, useSignal } from "@preact/signals";
import { Fragment } from "preact";
import { useEffect } from "preact/hooks";
import { get, said } from "../api/client.ts";
import { session } from "../session/session.ts";
import { SearchField } from "../shell/search_field.tsx";
import { TableHead } from "../shell/table_head.tsx";
import { markets, socket } from "../store/venue.ts";
import { CCXT_NAMES } from "./ccxt_names.ts";

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
}

interface Operation {
  readonly summary: string;
  readonly parameters: readonly {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly schema: Schema;
  }[];
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema: Schema }>>;
  };
  readonly responses: Readonly<
    Record<
      string,
      {
        readonly description: string;
        readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
      }
    >
  >;
  readonly security?: readonly unknown[];
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

interface Streams {
  readonly streams: readonly {
    readonly name: string;
    readonly summary: string;
    readonly private: boolean;
  }[];
}

const api = signal<Document | null>(null);
const streams = signal<Streams | null>(null);
const problem = signal("");
const words = signal("");

export default function Docs() {
  useEffect(() => {
    if (api.value !== null) return;
    Promise.all([get<Document>("/openapi.json"), get<Streams>("/streams.json")]).then(
      ([foundApi, foundStreams]) => {
        api.value = foundApi;
        streams.value = foundStreams;
      },
      (error: unknown) => {
        problem.value = said(error);
      },
    );
  }, []);
  const document = api.value;
  return (
    <section class="panel page docs">
      <header class="page-head">
        <h1>API</h1>
        <SearchField name="Search routes" of={words} />
        <a href="/openapi.json" download="openapi.json">
          openapi.json
        </a>
        <a href="/streams.json" download="streams.json">
          streams.json
        </a>
      </header>
      <p>
        Base URL <code>{location.origin}</code>. It speaks the wire format of Backpack:{" "}
        <code>ccxt.backpack</code> and <code>bpx-py</code> trade here with this base URL. Private
        requests carry a session's token or the signature of a <a href="/keys">key</a>.
      </p>
      <p class="problem">{problem.value}</p>
      {document !== null && GROUPS.map((group) => <Group key={group} name={group} of={document} />)}
      <h2>Streams</h2>
      <p>
        WebSocket{" "}
        <code>{`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`}</code>:{" "}
        <code>{'{"method":"SUBSCRIBE","params":["depth.SOL_USDC"]}'}</code>
      </p>
      {streams.value !== null && <StreamTable streams={streams.value} />}
    </section>
  );
}

const GROUPS = ["Market data", "Orders", "Account and history", "Sign-up, sessions and keys"];

function groupOf(path: string, operation: Operation): string {
  if (path.startsWith("/auth/")) return GROUPS[3]!;
  if (operation.security === undefined) return GROUPS[0]!;
  return path.startsWith("/api/v1/order") ? GROUPS[1]! : GROUPS[2]!;
}

function Group(props: { readonly name: string; readonly of: Document }) {
  const routes = Object.entries(props.of.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => groupOf(path, operation) === props.name)
      .filter(([, operation]) => isFound(path, operation))
      .map(([method, operation]) => (
        <Route
          key={`${method} ${path}`}
          method={method.toUpperCase()}
          path={path}
          operation={operation}
        />
      )),
  );
  if (routes.length === 0) return null;
  return (
    <Fragment>
      <h2>{props.name}</h2>
      {routes}
    </Fragment>
  );
}

const isFound = (path: string, operation: Operation): boolean =>
  `${path} ${operation.summary}`.toLowerCase().includes(words.value.trim().toLowerCase());

interface RouteProperties {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

function Route({ method, path, operation }: RouteProperties) {
  const ccxt = CCXT_NAMES[`${method} ${path}`];
  const isOpen = useSignal(false);
  return (
    <details
      class="route"
      data-route={`${method} ${path}`}
      onToggle={(event) => {
        isOpen.value = event.currentTarget.open;
      }}
    >
      <summary>
        <span class={`method ${method}`}>{method}</span> <code>{path}</code>{" "}
        <span class="soft">{operation.summary}</span>
        {ccxt !== undefined && <code class="soft">ccxt: {ccxt}</code>}
        {operation.security !== undefined && <span class="badge">private</span>}
      </summary>
      {isOpen.value && <RouteBody method={method} path={path} operation={operation} />}
    </details>
  );
}

function RouteBody({ method, path, operation }: RouteProperties) {
  const body = operation.requestBody?.content["application/json"]?.schema;
  const success = Object.entries(operation.responses).filter(([status]) => status.startsWith("2"));
  return (
    <div class="route-body">
      {operation.parameters.length > 0 && (
        <table class="wide">
          <thead>
            <tr>
              <th scope="col">Parameter</th>
              <th scope="col">Type</th>
            </tr>
          </thead>
          <tbody>
            {operation.parameters.map((each) => (
              <tr key={each.name}>
                <td>
                  <code>{each.name}</code>
                  {!each.required && " (optional)"}
                </td>
                <td>{typeText(each.schema)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {body !== undefined && (
        <>
          <h3>Body</h3>
          <Fields schema={body} />
        </>
      )}
      {success.map(([status, each]) => (
        <div key={status}>
          <h3>Answer {status}</h3>
          <Fields schema={each.content?.["application/json"]?.schema ?? { type: "string" }} />
        </div>
      ))}
      <h3>Errors</h3>
      <table class="wide">
        <tbody>
          {Object.entries(operation.responses)
            .filter(([status]) => !status.startsWith("2"))
            .map(([status, each]) => (
              <tr key={status}>
                <td>{status}</td>
                <td>{each.description}</td>
              </tr>
            ))}
        </tbody>
      </table>
      {method === "GET" && <TryIt path={path} operation={operation} />}
    </div>
  );
}

function resolved(schema: Schema): Schema {
  const name = schema.$ref?.split("/").at(-1);
  return name === undefined ? schema : (api.value?.components.schemas[name] ?? schema);
}

function Fields({ schema }: { readonly schema: Schema }) {
  const found = resolved(schema.items ?? schema);
  if (found.properties === undefined) return <p>{typeText(schema)}</p>;
  return (
    <>
      {schema.type === "array" && <p>A list of:</p>}
      <table class="wide">
        <tbody>
          {Object.entries(found.properties).map(([name, each]) => (
            <tr key={name}>
              <td>
                <code>{name}</code>
                {!found.required?.includes(name) && " (optional)"}
              </td>
              <td>{typeText(each)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function typeText(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map(String).join(" | ");
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeText))].join(" or ");
  if (schema.$ref !== undefined) {
    const found = resolved(schema);
    return found.enum === undefined ? (schema.$ref.split("/").at(-1) ?? "") : typeText(found);
  }
  if (schema.type === "array") return `list of ${typeText(schema.items ?? {})}`;
  if (typeof schema.additionalProperties === "object")
    return `object of ${typeText(schema.additionalProperties)}`;
  return [schema.type ?? "any", schema.description].filter(Boolean).join(", ");
}

function TryIt({ path, operation }: { readonly path: string; readonly operation: Operation }) {
  const first = markets.value[0]?.symbol ?? "";
  const suggested = (name: string): string => {
    if (name === "symbol")
      return path.includes("limits") && !path.includes("order")
        ? (first.split("_")[0] ?? "")
        : first;
    if (name === "interval" && path.includes("klines")) return "1h";
    if (name === "startTime") return String(Math.floor(Date.now() / 1_000) - 86_400);
    if (name === "side") return "Bid";
    if (name === "price") return "1";
    if (name === "blockchain") return "Solana";
    return "";
  };
  const values = useSignal<Readonly<Record<string, string>>>(
    Object.fromEntries(
      operation.parameters
        .filter((each) => each.required)
        .map((each) => [each.name, suggested(each.name)]),
    ),
  );
  const answer = useSignal("");
  const needsSession = operation.security !== undefined && session.value === null;
  const ask = async (): Promise<void> => {
    let url = path;
    const query: Record<string, string> = {};
    for (const each of operation.parameters) {
      const value = values.value[each.name] ?? "";
      if (each.in === "path") url = url.replace(`{${each.name}}`, encodeURIComponent(value));
      else if (value !== "") query[each.name] = value;
    }
    try {
      const found = await get<unknown>(url, query);
      answer.value =
        `200\n${typeof found === "string" ? found : JSON.stringify(found, null, 2)}`.slice(
          0,
          20_000,
        );
    } catch (error) {
      answer.value = said(error);
    }
  };
  return (
    <div class="try">
      <h3>Try it</h3>
      {operation.parameters.map((each) => (
        <label key={each.name}>
          {each.name}
          <input
            value={values.value[each.name] ?? ""}
            onInput={(event) => {
              values.value = { ...values.value, [each.name]: event.currentTarget.value };
            }}
          />
        </label>
      ))}
      <button type="button" disabled={needsSession} onClick={() => void ask()}>
        {needsSession ? "Log in to try" : "Send"}
      </button>
      {answer.value !== "" && (
        <pre class="answer" tabIndex={0}>
          {answer.value}
        </pre>
      )}
    </div>
  );
}

function StreamTable({ streams: table }: { readonly streams: Streams }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Streams">
      <table class="wide">
        <TableHead names={["Stream", "Content", "A message"]} />
        <tbody>
          {table.streams.map((stream) => (
            <tr key={stream.name}>
              <td>
                <code>{stream.name}</code>
                {stream.private && <span class="badge">private</span>}
              </td>
              <td>{stream.summary}</td>
              <td>{stream.private ? "after LOGIN" : <Sample name={stream.name} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Sample({ name }: { readonly name: string }) {
  const text = useSignal("");
  const isListening = useSignal(false);
  useEffect(() => {
    if (!isListening.value) return;
    const real = name
      .replace("{symbol}", markets.value[0]?.symbol ?? "")
      .replace("{every}", "200ms")
      .replace("{interval}", "1m");
    return socket.subscribe(real, (data) => {
      text.value = JSON.stringify(data).slice(0, 400);
      isListening.value = false;
    });
  }, [isListening.value, name, text, isListening]);
  return text.value === "" ? (
    <button
      type="button"
      disabled={isListening.value}
      onClick={() => {
        isListening.value = true;
      }}
    >
      {isListening.value ? "Listening…" : "Listen"}
    </button>
  ) : (
    <code class="sample">{text.value}</code>
  );
}
