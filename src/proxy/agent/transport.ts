/**
 * The way to a manager in another process: gRPC over one HTTP/2 connection. Loaded only where there
 * is such a manager, since its library is a good part of an idle proxy's memory.
 */
import type { Transport } from "@connectrpc/connect";

/** Pings find a frozen manager: its kernel still acknowledges what its process never reads. */
const PING_MS = 5000;

export async function managerTransport(url: string): Promise<Transport> {
  const { createGrpcTransport } = await import("@connectrpc/connect-node");
  return createGrpcTransport({
    baseUrl: url,
    pingIntervalMs: PING_MS,
    pingTimeoutMs: PING_MS,
    readMaxBytes: 64 << 20,
  });
}
