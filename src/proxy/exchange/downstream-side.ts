/** The connection that a request came on, as its exchange sees it. */
import type { Stream } from "../../http2/stream.ts";
import type { SendPool } from "../../io/send-buffer.ts";
import type { TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import { ConnectionNames, UNKNOWN_NAMES } from "../../telemetry/connection-names.ts";
import type { EdgePeer } from "../gateway/edge-peer.ts";
import type { EdgeView } from "../gateway/edge-view.ts";
import type { ListenerName } from "../listener/own-addresses.ts";
import {
  type ConnectionFacts,
  connectionFacts,
  unknownConnection,
} from "../policy/connection-facts.ts";
import type { Route } from "../route/route.ts";
import type { StreamUser } from "../transport/stream-user.ts";
import { SocketSide } from "../upstream/socket-side.ts";
import type { Environment } from "./environment.ts";

/** What all connections of one listener have in common. */
export interface ListenerFacts {
  readonly name: ListenerName;
  /** The port meant by a Host without one. */
  readonly defaultPort: number;
  /** Every request takes it; undefined: the snapshot says. */
  readonly route: Route | undefined;
  /** Of a gateway: which hosts it serves. Absent: it is a sidecar's. */
  readonly edge?: EdgeView;
}

/** What becomes of the connection after an exchange. */
export const After = {
  /** Another request may follow. */
  keep: 0,
  /** Orderly: the client gets everything, even if it is still sending. */
  close: 1,
  /** At once, so that the client cannot take what it has for the whole. */
  abort: 2,
} as const;
export type After = (typeof After)[keyof typeof After];

export abstract class DownstreamSide extends SocketSide {
  readonly env: Environment;
  readonly listener: ListenerFacts;
  /** At a gateway's edge: who called, from outside. */
  readonly edge: EdgePeer | undefined;
  /** What was received and not used yet: input[inputAt, inputEnd). */
  input: Uint8Array | undefined = undefined;
  inputAt = 0;
  inputEnd = 0;
  /** Where the client wanted to go, if the kernel led it here. */
  captured: SocketAddress | undefined = undefined;
  /** Who called, where the socket does not tell. */
  source: SocketAddress | undefined = undefined;
  /** A sidecar's, where TLS ended here: who its peer is. */
  tls: TlsFacts | undefined = undefined;
  /** Its peer's time is over: the next answer is the last. */
  retiring = false;
  /** Of who calls, where a sidecar said so. */
  claim = "";
  /** The stream that it is, where it is no connection of its own: HTTP/2. */
  readonly stream: Stream<StreamUser> | undefined;
  /** Nothing follows what is in the input: the end of a request that counts no octets. */
  inputDone = false;
  /** Whole lines that came after the content. */
  inputTrailers: Uint8Array | undefined = undefined;
  #names: ConnectionNames | undefined = undefined;
  #facts: ConnectionFacts | undefined = undefined;

  constructor(
    { env, facts }: { readonly env: Environment; readonly facts: ListenerFacts },
    edge: EdgePeer | undefined,
    stream?: Stream<StreamUser>,
  ) {
    super();
    this.stream = stream;
    this.env = env;
    this.listener = facts;
    this.edge = edge;
  }

  /** Made when a log first asks. */
  get names(): ConnectionNames {
    const { socket } = this;
    if (this.#names !== undefined || socket === undefined) return this.#names ?? UNKNOWN_NAMES;
    this.#names = connectionNames(socket, this);
    return this.#names;
  }

  /** Made when policy first asks. */
  get facts(): ConnectionFacts {
    if (this.#facts === undefined && this.socket !== undefined)
      this.#facts = connectionFacts(this.socket, this, this.env.claims);
    return this.#facts ?? unknownConnection;
  }

  /** The port meant by a Host without one. */
  get defaultPort(): number {
    return this.captured?.port ?? this.listener.defaultPort;
  }

  protected override get sendPool(): SendPool {
    return this.env.sendPool;
  }

  /** A head was written to the stream: it leaves at the end of the turn. */
  touch(): void {}

  /**
   * FIN, or END_STREAM, once everything is sent; for a stream with trailers[from, to) before it:
   * whole lines, which never change.
   */
  endResponse(_trailers: Uint8Array, _from: number, _to: number): void {
    this.shutdown();
  }

  /** For an input of which everything was taken: bytes[0, length) are in it as if just received. */
  restoreInput(bytes: Uint8Array, length: number): void {
    this.input = bytes;
    this.inputAt = 0;
    this.inputEnd = length;
  }

  /** The exchange takes request bytes (again). */
  abstract resumeInput(): void;

  /** What is in the input has had its share of this turn: it goes on in a later one. */
  waitForTurn(): void {}

  /** The exchange is over, and not to be touched any more. */
  abstract exchangeDone(after: After): void;
}

export function connectionNames(
  socket: TcpSocket<unknown>,
  { edge, source, tls }: Pick<DownstreamSide, "edge" | "source" | "tls">,
): ConnectionNames {
  const local = joined(socket.localAddress, socket.localPort);
  const { address, port } = source ?? {
    ...{ address: socket.remoteAddress, port: socket.remotePort },
  };
  return new ConnectionNames(local, joined(address, port), edge?.tls ?? tls);
}

/** "10.0.0.7:51234", "[::1]:80" */
function joined(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
