/**
 * Unary calls over gRPC to one server, on one connection of our own codec: for who asks once for
 * each request of a mesh, and may wait for nobody.
 *
 *   idle ─call─▶ connecting ─SETTINGS─▶ open ─lost, silent─▶ resting ─backoff─▶ idle
 *
 * A call is answered once, within its limit. While the server rests, calls fail at once: it was
 * away a moment ago. A server that says nothing at all within the limit of a call is left.
 */
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { backoffMs } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import { HeadArena } from "../http2/head-arena.ts";
import { HeadBlockWriter } from "../http2/head-block-writer.ts";
import { connectWords } from "../io/connect-words.ts";
import { type ConnectAttempt, TcpConnector } from "../io/tcp-connector.ts";
import { TimerWheel } from "../io/timer-wheel.ts";
import type { ClientTls } from "../io/tls-settings.ts";
import { Turn } from "../io/turn.ts";
import { type ConnectionOwner, connectHandlers, GrpcClientConnection } from "./grpc-client-link.ts";
import { octets } from "./grpc-text.ts";
import { type CallOptions, type CallOwner, OutgoingCall } from "./outgoing-call.ts";

export interface GrpcClientOptions {
  readonly hostname: string;
  readonly port: number;
  /** What calls are for; the host and port unless told. */
  readonly authority?: string;
  /** Without it the connection is plaintext. */
  readonly tls?: ClientTls;
  readonly clock: Clock;
  readonly random: Random;
  /** For the connection, and for the server's first words. */
  readonly connectMs: number;
  /** At a time; one more fails at once. */
  readonly callsMax: number;
  readonly answerBytesMax: number;
  /** The connection stands, or is gone: for a log. */
  readonly onState?: (state: "open" | "lost", reason: string) => void;
}

const CLOSING_LOOK_MS = 20;
/** For calls on a connection that takes no new ones. */
const LEAVING_MS = 10_000;
/** The connector's own limit comes after ours, which knows of stalls. */
const ATTEMPT_SPARE_MS = 60_000;
/** Timers that come later than this: the loop stood still. */
const STALL_MS = 50;
const REST_BASE_MS = 50;
const REST_MAX_MS = 1_000;

type State =
  | { readonly at: "idle" }
  | { readonly at: "connecting"; readonly connection: GrpcClientConnection }
  | { readonly at: "open"; readonly connection: GrpcClientConnection }
  | { readonly at: "resting"; readonly reason: string; readonly cancel: () => void }
  | { readonly at: "closed" };

export class GrpcClient implements ConnectionOwner, CallOwner {
  readonly #options: GrpcClientOptions;
  readonly arena = new HeadArena();
  readonly blocks = new HeadBlockWriter();
  readonly turn = new Turn();
  readonly authority: Uint8Array;
  readonly #timers: TimerWheel;
  readonly #connector: TcpConnector<GrpcClientConnection>;
  readonly #calls = new Set<OutgoingCall>();
  #state: State = { at: "idle" };
  #attempt: ConnectAttempt | undefined;
  /** Connections in a row that came to nothing. */
  #failures = 0;
  /** Why the last one did. */
  #reason = "";

  constructor(options: GrpcClientOptions) {
    this.#options = options;
    this.#timers = new TimerWheel(options.clock);
    this.#connector = new TcpConnector(connectHandlers, this.#timers);
    const { hostname, port } = options;
    const own = hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
    this.authority = octets(options.authority ?? own);
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get callsMax(): number {
    return this.#options.callsMax;
  }

  get answerBytesMax(): number {
    return this.#options.answerBytesMax;
  }

  get state(): State["at"] {
    return this.#state.at;
  }

  get callsUnderWay(): number {
    return this.#calls.size;
  }

  /** `framed`: the message behind its prefix (grpc-text.ts). Returns what ends it unanswered. */
  call(desc: DescMethodUnary, framed: Uint8Array, options: CallOptions): () => void {
    const call = new OutgoingCall(this, { path: pathOf(desc), framed, options });
    if (this.#state.at === "closed") return failSoon(call, "the client is closed");
    if (this.#state.at === "resting") return failSoon(call, this.#state.reason);
    this.#leaveExpired();
    if (this.#state.at === "idle") this.#connect();
    // It was away a moment ago: whether it is back is found out while nobody waits.
    if (this.#state.at === "connecting" && this.#failures > 0) return failSoon(call, this.#reason);
    if (this.#calls.size >= this.#options.callsMax)
      return failSoon(call, "too many calls at a time");
    this.#calls.add(call);
    this.#timers.arm(call, options.timeoutMs);
    if (this.#state.at === "open") this.#state.connection.send(call);
    return () => call.cancel();
  }

  /** Closes once nothing is under way, or after `ms`. */
  closeAfter(ms: number): void {
    const { clock } = this.#options;
    const untilMs = clock.nowMs() + ms;
    const look = (): void => {
      if (this.#calls.size === 0 || clock.nowMs() >= untilMs) this.close();
      else clock.after(CLOSING_LOOK_MS, look);
    };
    look();
  }

  /** Calls under way are told nothing any more. */
  close(): void {
    for (const call of [...this.#calls]) call.cancel();
    const state = this.#state;
    this.#state = { at: "closed" };
    this.#attempt?.cancel();
    if (state.at === "resting") state.cancel();
    if (state.at === "connecting" || state.at === "open") state.connection.close();
  }

  over(call: OutgoingCall): void {
    this.#calls.delete(call);
    this.#timers.release(call);
  }

  /** It did not answer in time: a server that says nothing to anybody is left. */
  late(call: OutgoingCall): void {
    const state = this.#state;
    if (state.at !== "open" || state.connection !== call.carrier) return;
    if (state.connection.heardAtMs > call.sentAtMs) return;
    this.lost(state.connection, "the server does not answer");
  }

  opened(connection: GrpcClientConnection): void {
    if (this.#state.at !== "connecting" || this.#state.connection !== connection) return;
    this.#failures = 0;
    this.#state = { at: "open", connection };
    this.#options.onState?.("open", "");
    for (const call of [...this.#calls]) connection.send(call);
  }

  lost(connection: GrpcClientConnection, reason: string): void {
    const state = this.#state;
    if (state.at !== "connecting" && state.at !== "open") return;
    if (state.connection !== connection) return;
    this.#attempt?.cancel();
    this.#options.onState?.("lost", reason);
    this.#rest(reason, state.at === "open");
    // Those on one that is leaving are still answered there.
    for (const call of [...this.#calls])
      if (call.carrier === undefined || call.carrier === connection) call.lose(reason);
    connection.abandon();
  }

  /** It takes no new calls; those on it are still answered. */
  leaving(connection: GrpcClientConnection): void {
    const state = this.#state;
    if (state.at !== "open" || state.connection !== connection) return;
    this.#state = { at: "idle" };
    this.#options.clock.after(LEAVING_MS, () => connection.abandon());
  }

  /** Who the server is was proved for a time. */
  #leaveExpired(): void {
    const state = this.#state;
    if (state.at === "open" && state.connection.peerUntilMs < this.#options.clock.wallMs())
      this.leaving(state.connection);
  }

  #connect(): void {
    const connection = new GrpcClientConnection(this);
    this.#state = { at: "connecting", connection };
    const { hostname, port, tls, connectMs } = this.#options;
    const attemptMs = connectMs + ATTEMPT_SPARE_MS;
    this.#attempt = this.#connector.connect({ hostname, port, tls }, connection, attemptMs);
    this.#limitConnect(connection);
  }

  /** What came while we stood still ourselves is yet to be read: the time begins anew. */
  #limitConnect(connection: GrpcClientConnection): void {
    const { connectMs, clock } = this.#options;
    const untilMs = clock.nowMs() + connectMs;
    connection.onReady = clock.after(connectMs, () => {
      const state = this.#state;
      if (state.at !== "connecting" || state.connection !== connection) return;
      if (clock.nowMs() > untilMs + STALL_MS) return this.#limitConnect(connection);
      const words = connectWords("timeout", "");
      this.lost(connection, connection.isConnected ? "the server does not answer" : words);
    });
  }

  /** A connection that stood is made again at once; one that never did after a while. */
  #rest(reason: string, stood: boolean): void {
    const { clock, random } = this.#options;
    this.#reason = reason;
    const failures = stood ? 0 : ++this.#failures;
    const ms = stood ? 0 : backoffMs(failures, REST_BASE_MS, REST_MAX_MS, random);
    const cancel = clock.after(ms, () => {
      if (this.#state.at === "resting") this.#state = { at: "idle" };
    });
    this.#state = { at: "resting", reason, cancel };
  }
}

function failSoon(call: OutgoingCall, reason: string): () => void {
  queueMicrotask(() => call.lose(reason));
  return () => call.cancel();
}

const paths = new WeakMap<DescMethodUnary, Uint8Array>();

function pathOf(desc: DescMethodUnary): Uint8Array {
  const known = paths.get(desc);
  if (known !== undefined) return known;
  const path = octets(`/${desc.parent.typeName}/${desc.name}`);
  paths.set(desc, path);
  return path;
}
