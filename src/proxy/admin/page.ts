/** What a page of the admin port is: a path, what it is for, and a function of view and query. */
import type { ProxyView } from "./proxy-view.ts";

export interface Page {
  readonly path: string;
  /** POST for whatever changes something, so that no link or image can. */
  readonly method: "GET" | "POST";
  readonly about: string;
  readonly answer: (view: ProxyView, query: URLSearchParams) => Response | Promise<Response>;
}

export function text(body: string, status = 200): Response {
  const headers = { "content-type": "text/plain; charset=utf-8", "cache-control": "no-cache" };
  return new Response(body.endsWith("\n") ? body : `${body}\n`, { status, headers });
}

export function json(body: unknown, status = 200): Response {
  const headers = { "content-type": "application/json", "cache-control": "no-cache" };
  return new Response(`${JSON.stringify(body, null, 2)}\n`, { status, headers });
}

export function wantsJson(query: URLSearchParams): boolean {
  return query.get("format") === "json";
}
