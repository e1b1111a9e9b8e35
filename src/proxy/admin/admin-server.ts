/**
 * The admin port (15000) and the readiness port (15021). Admin is for the operator on this host: it
 * is bound to loopback, answers only to names of loopback (a web page may point a name of its own
 * at 127.0.0.1), and takes no request that a foreign page makes. Readiness says one bit to anybody.
 */
import { isForeignPage } from "../../api/foreign-page.ts";
import type { HostPort } from "../flags.ts";
import { pages } from "./inventory.ts";
import { text } from "./page.ts";
import type { ProxyView } from "./proxy-view.ts";
import { ready } from "./state-pages.ts";

export interface BoundServer extends HostPort {
  /** Resolves when running answers have finished; a tap may never. */
  stop(): Promise<void>;
  abort(): void;
}

/** The address cannot be bound; `code` is EADDRINUSE, EACCES, … */
export function openAdmin(at: HostPort, view: ProxyView): BoundServer {
  return serve(at, (request, server) => {
    // A tap may be silent for long.
    if (addressOf(request)?.pathname === "/tap") server.timeout(request, 0);
    return adminAnswer(request, view);
  });
}

export function openReadiness(at: HostPort, view: ProxyView): BoundServer {
  return serve(at, (request) => {
    return addressOf(request)?.pathname === "/healthz/ready"
      ? ready(view)
      : text("see /healthz/ready", 404);
  });
}

export function adminAnswer(request: Request, view: ProxyView): Response | Promise<Response> {
  const refusal = foreign(request);
  if (refusal !== undefined) return text(refusal, 403);
  const address = addressOf(request);
  if (address === null) return text("no such address", 400);
  const { pathname, searchParams } = address;
  if (pathname === "/") return text(index());
  const found = pages.filter(({ path }) => path === pathname);
  if (found.length === 0) return text(`no such page: ${pathname}\n\n${index()}`, 404);
  const method = request.method === "HEAD" ? "GET" : request.method;
  const page = found.find((candidate) => candidate.method === method);
  if (page !== undefined) return page.answer(view, searchParams);
  const answer = text(`use ${found[0]!.method}`, 405);
  answer.headers.set("allow", found.map((candidate) => candidate.method).join(", "));
  return answer;
}

/** Null: not even with a host of ours. A health check may have no Host, or any. */
function addressOf(request: Request): URL | null {
  const { url } = request;
  const found = URL.parse(url, "http://localhost");
  if (found !== null) return found;
  const path = /^https?:\/\/[^/]*(\/.*)$/s.exec(url)?.[1];
  return path === undefined ? null : URL.parse(path, "http://localhost");
}

function index(): string {
  const lines = pages.map(
    ({ method, path, about }) => `${method.padEnd(4)} ${path.padEnd(20)} ${about}`,
  );
  return `mesh proxy administration\n\n${lines.join("\n")}\n`;
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

type Answer = (request: Request, server: Bun.Server<undefined>) => Response | Promise<Response>;

function serve(at: HostPort, answer: Answer): BoundServer {
  const server = Bun.serve({
    hostname: at.hostname,
    port: at.port,
    idleTimeout: 30,
    // Bun's page for developers shows our source to whoever makes us fail.
    development: false,
    fetch: answer,
  });
  return {
    hostname: at.hostname,
    port: server.port ?? at.port,
    stop: () => server.stop(),
    abort: () => void server.stop(true),
  };
}
