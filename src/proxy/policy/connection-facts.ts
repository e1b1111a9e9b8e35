/** What policy may know of a downstream connection: read from its socket once. */
import { parseIpAddress, shortestIpAddress } from "../../attribute/ip-address.ts";
import type { TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";

const SPIFFE = "spiffe://";

export class ConnectionFacts {
  /** The caller's, whoever stands in between. */
  readonly source: SocketAddress;
  /** Where it came in. */
  readonly local: SocketAddress;
  readonly serverName: string;
  /** The peer has proved who it is. */
  readonly isMutual: boolean;
  /** "cluster.local/ns/default/sa/web"; "": not known. */
  readonly principal: string;
  /** Of the principal; "": not known. */
  readonly namespace: string;
  #sourceIp: Uint8Array | undefined = undefined;
  #localIp: Uint8Array | undefined = undefined;

  constructor(source: SocketAddress, local: SocketAddress, tls: TlsFacts | undefined) {
    this.source = source;
    this.local = local;
    this.serverName = tls?.serverName ?? "";
    const peer = tls?.peer;
    this.isMutual = peer?.verified === true;
    const uri = this.isMutual ? peer?.names.uris.find((one) => one.startsWith(SPIFFE)) : undefined;
    this.principal = uri?.slice(SPIFFE.length) ?? "";
    this.namespace = /\/ns\/([^/]+)\/sa\/[^/]+$/.exec(this.principal)?.[1] ?? "";
  }

  /** Undefined: it is no IP address. */
  get sourceIp(): Uint8Array | undefined {
    this.#sourceIp ??= bytesOf(this.source.address);
    return this.#sourceIp;
  }

  get localIp(): Uint8Array | undefined {
    this.#localIp ??= bytesOf(this.local.address);
    return this.#localIp;
  }
}

export function connectionFacts(
  socket: TcpSocket<unknown>,
  source: SocketAddress | undefined,
  tls: TlsFacts | undefined,
): ConnectionFacts {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  const from = source ?? { address: remoteAddress, port: remotePort };
  return new ConnectionFacts(from, { address: localAddress, port: localPort }, tls);
}

/** It is gone, and nobody had asked. */
export const unknownConnection: ConnectionFacts = new ConnectionFacts(
  { address: "", port: 0 },
  { address: "", port: 0 },
  undefined,
);

function bytesOf(address: string): Uint8Array | undefined {
  const bytes = parseIpAddress(address);
  return bytes && shortestIpAddress(bytes);
}
