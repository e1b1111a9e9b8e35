/** A plaintext port for pages, REST and metrics. */
import { isIP } from "node:net";
import { socketOwner } from "../io/socket-owner.ts";
import { type Address, addressText } from "./address.ts";
import type { FetchHandler } from "./fetch-handler.ts";
import { bindFault } from "./listen.ts";
import { type Identify, identifyNobody, type Peer } from "./peer.ts";

export interface FetchServer {
  readonly hostname: string;
  readonly port: number;
  close(): void;
}

/** Throws a line for the operator where the address is taken. */
export function serveFetch(
  address: Address,
  fetch: FetchHandler,
  identify?: Identify,
): FetchServer {
  const { hostname, port } = address;
  try {
    // Event streams are quiet for as long as nothing happens.
    const server = Bun.serve({
      hostname,
      port,
      fetch: (request, of) => {
        const { headers } = request;
        const [authorization, cookie] = ["authorization", "cookie"].map((name) =>
          headers.get(name),
        );
        const peer = identify === undefined ? UNKNOWN : peerOf(of.requestIP(request), of);
        const shown = { authorization: authorization ?? undefined, cookie: cookie ?? undefined };
        return fetch(request, (identify ?? identifyNobody)(peer, shown));
      },
      idleTimeout: 0,
      // Bun's page for developers shows our source to whoever makes us fail.
      development: false,
    });
    return { hostname, port: server.port ?? port, close: () => void server.stop(true) };
  } catch (cause) {
    throw bindFault({ hostname, port }, cause);
  }
}

const UNKNOWN: Peer = { at: "plaintext", address: "", uid: undefined };

/**
 * Bun does not show the socket, so our own end cannot be told from an older one at the same port:
 * good enough to let somebody read, since the answer goes to whoever asked.
 */
function peerOf(
  far: { readonly address: string; readonly port: number } | null,
  server: { readonly hostname: string | undefined; readonly port: number | undefined },
): Peer {
  if (far === null) return UNKNOWN;
  // Who comes to a name of loopback comes from the address that he goes to.
  const address = isIP(server.hostname ?? "") === 0 ? far.address : (server.hostname ?? "");
  const near = { address, port: server.port ?? 0 };
  return {
    at: "plaintext",
    address: addressText({ hostname: far.address, port: far.port }),
    uid: socketOwner({ near, far, inode: 0 }),
  };
}
