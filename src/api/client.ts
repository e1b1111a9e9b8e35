/**
 * How our own modes reach a manager: one HTTP/2 connection, opened when first used and again when
 * it broke, with pings, so that a peer that hangs is found within seconds.
 */
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";

export interface ApiConnection {
  readonly transport: Transport;
  /** Ends running calls. */
  close(): void;
}

/** `address` is "127.0.0.1:15010", or a URL with its scheme. */
export function connectApi(address: string): ApiConnection {
  const baseUrl = /^https?:\/\//.test(address) ? address : `http://${address}`;
  const sessionManager = new Http2SessionManager(baseUrl, {
    pingIntervalMs: 5_000,
    pingTimeoutMs: 3_000,
    // On Bun a stream closes after its session, and the library then pings the destroyed session of
    // a peer that froze, which throws out of a timer. Only idle connections are pinged that late.
    pingIdleConnection: false,
  });
  const transport = createConnectTransport({ httpVersion: "2", baseUrl, sessionManager });
  return { transport, close: () => sessionManager.abort() };
}
