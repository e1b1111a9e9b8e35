/**
 * The admin port (15000), bound to loopback, and the readiness port (15021), which says one bit to
 * anybody.
 */
import { addressOf, answerPage, text } from "../../api/admin-page.ts";
import type { HostPort } from "../flags.ts";
import { pages } from "./inventory.ts";
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
  return answerPage(request, view, { title: "mesh proxy administration", pages });
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
