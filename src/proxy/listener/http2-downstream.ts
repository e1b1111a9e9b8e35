/** One downstream connection that speaks HTTP/2: requests on streams, connections inside of it. */
import { type Failure, Failures } from "../../core/failure.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { Session } from "../../http2/session.ts";
import { defaultSessionLimits } from "../../http2/session-limits.ts";
import type { Stream } from "../../http2/stream.ts";
import type { TcpSocket } from "../../io/socket.ts";
import type { SocketAddress } from "../../io/socket-address.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import { type ConnectionNames, UNKNOWN_NAMES } from "../../telemetry/connection-names.ts";
import { connectionNames } from "../exchange/downstream-side.ts";
import type { EdgePeer } from "../gateway/edge-peer.ts";
import {
  type ConnectionFacts,
  connectionFacts,
  unknownConnection,
} from "../policy/connection-facts.ts";
import { CLAIM_MAX } from "../policy/workload-claim.ts";
import { Http2Connection } from "../transport/http2-connection.ts";
import { claimOf } from "../transport/mesh-request.ts";
import {
  isMeshRequest,
  MESH_CLAIM_FRAME,
  MESH_SETTING,
  MESH_STREAMS,
  MESH_VERSION,
  MeshSocket,
} from "../transport/mesh-socket.ts";
import { isFlood } from "../transport/offenders.ts";
import type { StreamUser } from "../transport/stream-user.ts";
import type { AcceptedConnection, DownstreamOwner } from "./downstream-owner.ts";
import { DownstreamStream } from "./downstream-stream.ts";

/** An application beside its own proxy is trusted with many streams, and so is a sidecar. */
const sidecarLimits = { ...defaultSessionLimits, streamsMax: MESH_STREAMS };
const meshOffer: readonly (readonly [number, number])[] = [[MESH_SETTING, MESH_VERSION]];

export class Http2Downstream extends Http2Connection implements AcceptedConnection {
  readonly session: Session<StreamUser>;
  readonly captured: SocketAddress | undefined;
  readonly edge: EdgePeer | undefined;
  readonly source: SocketAddress | undefined;
  readonly tls: TlsFacts | undefined;
  readonly #owner: DownstreamOwner;
  /** Sidecars are expected here. */
  readonly #takesMesh: boolean;
  /** Where it comes from. */
  readonly #address: string;
  /** Of who calls; "": nobody said. */
  #claim: string;
  /** It was said, or tried: what comes later is ignored. */
  #introduced: boolean;
  #names: ConnectionNames | undefined = undefined;
  #facts: ConnectionFacts | undefined = undefined;

  constructor(
    owner: DownstreamOwner,
    socket: TcpSocket<unknown>,
    former: Pick<AcceptedConnection, "captured" | "claim" | "edge" | "source" | "tls">,
  ) {
    super(owner.env.http2);
    const { captured, edge, source } = former;
    this.captured = captured;
    this.tls = former.tls;
    this.#owner = owner;
    this.socket = socket;
    this.edge = edge;
    this.source = source;
    this.#address = source?.address ?? socket.remoteAddress;
    this.#claim = former.claim ?? "";
    this.#introduced = this.#claim !== "";
    this.#takesMesh = owner.facts.name === "inbound";
    this.session = new Session<StreamUser>({
      role: "server",
      sink: this,
      head: this.context.requestHead,
      arena: this.context.arena,
      limits: edge === undefined ? sidecarLimits : defaultSessionLimits,
      settings: this.#takesMesh ? meshOffer : [],
      isOffender: this.context.offenders.has(this.#address, this.context.clock.nowMs()),
    });
    this.watch();
    this.session.start();
  }

  /** What we offer leaves though the peer has said nothing yet. */
  accepted(): void {
    this.touch();
  }

  get exchanges(): number {
    return this.session.streamCount;
  }

  get waiting(): number {
    return this.session.outputEnd - this.session.outputStart;
  }

  get names(): ConnectionNames {
    const { socket } = this;
    if (this.#names === undefined && socket !== undefined)
      this.#names = connectionNames(socket, this);
    return this.#names ?? UNKNOWN_NAMES;
  }

  /** The port meant by an authority without one. */
  get defaultPort(): number {
    return this.captured?.port ?? this.#owner.facts.defaultPort;
  }

  get claim(): string {
    return this.#claim;
  }

  get facts(): ConnectionFacts {
    const { socket } = this;
    if (this.#facts === undefined && socket !== undefined)
      this.#facts = connectionFacts(socket, this, this.#owner.env.claims);
    return this.#facts ?? unknownConnection;
  }

  holds(): boolean {
    return this.keeps;
  }

  /** What is inside of it ends by itself. */
  retire(): void {
    if (!this.session.isGoingAway) this.drain();
  }

  /** Each stream's end leaves at the end of the turn, and then FIN. */
  stop(): void {
    this.drain();
    this.session.finishDrain();
    for (const user of this.session.users()) if (user instanceof DownstreamStream) user.stop();
    this.touch();
  }

  override data(bytes: Uint8Array, from: number, to: number): void {
    // What arrives is scanned into the head that an exchange may have left there.
    this.#owner.env.scannedFor = undefined;
    super.data(bytes, from, to);
  }

  override closed(reset: boolean): void {
    super.closed(reset);
    this.#owner.connectionClosed(this);
  }

  headArrived(stream: Stream<StreamUser>, head: MessageHead): void {
    if (this.edge === undefined && isMeshRequest(this.session, head))
      return this.#acceptInner(stream, claimOf(head));
    const side = new DownstreamStream(this.#owner, this, stream);
    stream.user = side;
    side.begin(head);
  }

  requestRefused(failure: Failure, detail: string): void {
    this.context.stats.count(failure);
    this.#owner.refused(this, failure, detail);
  }

  settingsArrived(): void {
    this.watchSidecar();
  }

  /** The first claim counts, if it comes before what it speaks of; whatever else is ignored. */
  extensionArrived(type: number, payload: Uint8Array, from: number, to: number): void {
    if (type !== MESH_CLAIM_FRAME || !this.#takesMesh || !this.isSidecar) return;
    if (this.#introduced || this.session.hasServed) return;
    this.#introduced = true;
    if (to - from <= CLAIM_MAX) this.#claim = asText(payload, from, to);
  }

  goawayArrived(): void {}

  override sessionFailed(failure: Failure, detail: string): void {
    this.#owner.refused(this, failure, detail);
    super.sessionFailed(failure, detail);
    if (!isFlood(failure)) return;
    this.context.offenders.add(this.#address, this.session.nowMs);
    this.holdBack();
  }

  protected lossFailure(): Failure {
    return Failures.downstreamGone;
  }

  protected get isSidecar(): boolean {
    return this.session.peer.valueOf(MESH_SETTING) !== undefined;
  }

  protected silence(takesNothing: boolean): Failure {
    return takesNothing ? Failures.downstreamStalled : Failures.downstreamSilent;
  }

  #acceptInner(stream: Stream<StreamUser>, claim: string): void {
    const { blocks } = this.context;
    if (!blocks.begin(stream)) return stream.release();
    blocks.status(200);
    blocks.end(false);
    const socket = new MeshSocket<AcceptedConnection>(undefined as never, stream, this);
    socket.onReleased = () => this.streamReleased();
    stream.user = socket;
    this.#owner.acceptInner(socket, claim, this);
  }
}

function asText(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.subarray(from, to)).toString("latin1");
}
