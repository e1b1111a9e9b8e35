/**
 * The pages of an admin port, whosever it is: a path, what it is for, and a function of a view and
 * the query. Such a port is for the operator on this host: it answers only to names of loopback (a
 * web page may point a name of its own at 127.0.0.1), and takes no request of a foreign page.
 */
import { isForeignPage } from "./foreign-page.ts";

export interface AdminPage<View> {
  readonly path: string;
  /** POST for whatever changes something, so that no link or image can. */
  readonly method: "GET" | "POST";
  readonly about: string;
  readonly answer: (view: View, query: URLSearchParams) => Response | Promise<Response>;
}

export interface AdminPages<View> {
  /** "mesh proxy administration" */
  readonly title: string;
  /** In the order of the index. */
  readonly pages: readonly AdminPage<View>[];
}

export function answerPage<View>(
  request: Request,
  view: View,
  { title, pages }: AdminPages<View>,
): Response | Promise<Response> {
  const refusal = foreign(request);
  if (refusal !== undefined) return text(refusal, 403);
  const address = addressOf(request);
  if (address === null) return text("no such address", 400);
  const { pathname, searchParams } = address;
  if (pathname === "/") return text(index(title, pages));
  const found = pages.filter(({ path }) => path === pathname);
  if (found.length === 0) return text(`no such page: ${pathname}\n\n${index(title, pages)}`, 404);
  const method = request.method === "HEAD" ? "GET" : request.method;
  const page = found.find((candidate) => candidate.method === method);
  if (page !== undefined) return page.answer(view, searchParams);
  const answer = text(`use ${found[0]!.method}`, 405);
  answer.headers.set("allow", found.map((candidate) => candidate.method).join(", "));
  return answer;
}

/** Null: not even with a host of ours. A health check may have no Host, or any. */
export function addressOf(request: Request): URL | null {
  const { url } = request;
  const found = URL.parse(url, "http://localhost");
  if (found !== null) return found;
  const path = /^https?:\/\/[^/]*(\/.*)$/s.exec(url)?.[1];
  return path === undefined ? null : URL.parse(path, "http://localhost");
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

function index(title: string, pages: readonly AdminPage<never>[]): string {
  const lines = pages.map(
    ({ method, path, about }) => `${method.padEnd(4)} ${path.padEnd(20)} ${about}`,
  );
  return `${title}\n\n${lines.join("\n")}\n`;
}

/** Why this request is not the operator's; undefined: it may be. */
function foreign(request: Request): string | undefined {
  const host = request.headers.get("host") ?? "";
  if (!isLoopback(host)) return `the admin port answers to localhost only, not to "${host}"`;
  const { headers, method } = request;
  // A link on somebody's page may be followed: he sees nothing of what it shows.
  const isLink = method === "GET" && headers.get("sec-fetch-mode") === "navigate";
  const isForeign = isForeignPage((name) => headers.get(name) ?? undefined, "http");
  return isForeign && !isLink ? "no requests of other pages" : undefined;
}

function isLoopback(authority: string): boolean {
  const name = authority.replace(/:\d+$/, "").toLowerCase();
  return (
    name === "localhost" ||
    name.endsWith(".localhost") ||
    name === "[::1]" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name)
  );
}
