/** What policy may know of a downstream connection: read from its socket once. */
import { parseShortestIpAddress } from "../../attribute/ip-address.ts";
import { parseSpiffeId } from "../../core/spiffe-id.ts";
import type { TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import { type PrincipalParts, principalParts } from "../../policy/authorization/facts.ts";
import { CallerWord } from "./caller-word.ts";
import type { ClaimJudge } from "./claim-judge.ts";
import { type Caller, type Claim, decodeClaim } from "./workload-claim.ts";

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
  readonly #word: CallerWord | undefined;
  #parts: PrincipalParts | undefined = undefined;
  #sourceIp: Uint8Array | undefined = undefined;
  #localIp: Uint8Array | undefined = undefined;

  constructor(
    source: SocketAddress,
    local: SocketAddress,
    tls: TlsFacts | undefined,
    word?: SaidOfCaller,
  ) {
    this.source = source;
    this.local = local;
    this.serverName = tls?.serverName ?? "";
    const peer = tls?.peer;
    this.isMutual = peer?.verified === true;
    const uri = this.isMutual ? peer?.names.uris.find((one) => one.startsWith(SPIFFE)) : undefined;
    this.principal = uri?.slice(SPIFFE.length) ?? "";
    const id = uri === undefined ? undefined : parseSpiffeId(uri);
    this.namespace = id?.namespace ?? "";
    this.#word = word && new CallerWord(word.claim, { id, port: word.port }, word.judge);
  }

  /** Who calls by its sidecar's words, as far as they are believed; undefined: nobody knows. */
  get caller(): Caller | undefined {
    return this.#word?.caller;
  }

  /** Of the principal. */
  get parts(): PrincipalParts {
    this.#parts ??= principalParts(this.principal);
    return this.#parts;
  }

  /** Undefined: it is no IP address. */
  get sourceIp(): Uint8Array | undefined {
    this.#sourceIp ??= parseShortestIpAddress(this.source.address);
    return this.#sourceIp;
  }

  get localIp(): Uint8Array | undefined {
    this.#localIp ??= parseShortestIpAddress(this.local.address);
    return this.#localIp;
  }
}

/** In its sidecar's words. */
export interface SaidOfCaller {
  readonly claim: Claim;
  /** Of the application that is called. */
  readonly port: number;
  /** Undefined: nobody here knows more. */
  readonly judge: ClaimJudge | undefined;
}

/** What is known of a connection besides its socket. */
export interface Introduction {
  readonly source: SocketAddress | undefined;
  readonly edge?: { readonly tls: TlsFacts | undefined } | undefined;
  /** Of a sidecar's connection. */
  readonly tls?: TlsFacts | undefined;
  /** Of who calls, where a sidecar said so. */
  readonly claim?: string;
  /** Of the application that is called. */
  readonly defaultPort?: number;
}

export function connectionFacts(
  socket: TcpSocket<unknown>,
  { source, edge, tls, claim: text = "", defaultPort: port = 0 }: Introduction,
  judge?: ClaimJudge,
): ConnectionFacts {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  const from = source ?? { address: remoteAddress, port: remotePort };
  const local = { address: localAddress, port: localPort };
  const claim = decodeClaim(text);
  const word = claim && { claim, port, judge };
  return new ConnectionFacts(from, local, edge?.tls ?? tls, word);
}

/** It is gone, and nobody had asked. */
export const unknownConnection: ConnectionFacts = new ConnectionFacts(
  { address: "", port: 0 },
  { address: "", port: 0 },
  undefined,
);
