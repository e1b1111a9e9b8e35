/** A port that only answers GET: pages, REST, metrics. */
import type { FetchHandler } from "./fetch-handler.ts";

export interface FetchServer {
  readonly hostname: string;
  readonly port: number;
  close(): void;
}

/** Throws a line for the operator where the address is taken. */
export function serveFetch(
  address: { readonly hostname: string; readonly port: number },
  fetch: FetchHandler,
): FetchServer {
  const { hostname, port } = address;
  try {
    // Event streams are quiet for as long as nothing happens.
    const server = Bun.serve({
      hostname,
      port,
      fetch: (request) => fetch(request),
      idleTimeout: 0,
      // Bun's page for developers shows our source to whoever makes us fail.
      development: false,
    });
    return { hostname, port: server.port ?? port, close: () => void server.stop(true) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${hostname}:${port}: ${reason} (port 0 picks a free one)`, { cause });
  }
}
