/** Requests to the public API, with the token of the session. */

import { session } from "../session/session.ts";

/** An answer that is no success. `status` 0: there was none, and the outcome is unknown. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfterS: number = 0,
  ) {
    super(message);
  }

  /**
   * Whether a command may have been executed all the same: there was no answer, or one of a proxy,
   * or one of the exchange that says so. Its own 501 and 503 mean that it was not.
   */
  get isUnknown(): boolean {
    const isCertain = (this.status === 501 || this.status === 503) && this.code !== "UNKNOWN";
    return this.status === 0 || (this.status >= 500 && !isCertain);
  }
}

type Query = Readonly<Record<string, string | number | undefined>>;

/** token: of the session that asks; it does not change while an answer is awaited. */
export function get<T>(path: string, query: Query = {}, token?: string): Promise<T> {
  const known = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(known.map(([name, value]) => [name, String(value)])).toString();
  return send<T>("GET", text ? `${path}?${text}` : path, undefined, token);
}

export async function send<T>(
  method: string,
  path: string,
  body?: unknown,
  token: string | undefined = session.peek()?.token,
): Promise<T> {
  const headers: Record<string, string> = {};
  if (token !== undefined) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  let content: unknown;
  try {
    response = await fetch(path, {
      method,
      headers,
      cache: "no-store",
      credentials: "omit",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    content = isJson ? JSON.parse(text) : text;
  } catch {
    throw new ApiError(0, "NO_ANSWER", "The exchange did not answer");
  }
  if (response.ok) return content as T;
  const isLogIn = path === "/auth/v1/login"; // its 401 is about the password
  if (response.status === 401 && !isLogIn && session.peek()?.token === token) {
    session.value = null;
  }
  const error = (typeof content === "object" && content !== null ? content : {}) as {
    code?: string;
    message?: string;
  };
  throw new ApiError(
    response.status,
    error.code ?? "UNKNOWN",
    error.message ?? `The exchange answered ${response.status}`,
    Number(response.headers.get("retry-after") ?? 0),
  );
}

/** What to tell a person about a failure. */
export function said(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  if (error.status === 429) {
    return `Too many requests: try again in ${Math.max(error.retryAfterS, 1)} s`;
  }
  return error.message;
}
