/**
 * One HTTP/2 connection as a state machine: octets in, calls of a sink and octets out. It knows no
 * socket and no clock: who owns it passes input, sends output, and sets `nowMs` before each call.
 */
import type { Failure } from "../core/failure.ts";
import type { MessageHead } from "../http/message-head.ts";
import type { ErrorCode } from "./error-code.ts";
import type { HeadArena } from "./head-arena.ts";
import type { SessionLimits } from "./session-limits.ts";
import type { SessionSink } from "./session-sink.ts";
import type { Stream } from "./stream.ts";

export interface SessionOptions<U> {
  /** "server": the peer is a downstream and opens streams; "client": it is an upstream. */
  readonly role: "server" | "client";
  readonly sink: SessionSink<U>;
  /** Filled for each head that arrives; may be shared by all sessions of a thread. */
  readonly head: MessageHead;
  /** Where heads lie; share one among all sessions of a thread. */
  readonly arena: HeadArena;
  readonly limits?: SessionLimits;
  /** SETTINGS sent besides our own, as (identifier, value) pairs: private ones. */
  readonly settings?: readonly (readonly [id: number, value: number])[];
  /** Server: offers extended CONNECT (RFC 8441). Default true. */
  readonly connectProtocol?: boolean;
  /** Client: the :scheme of requests is https. Default false. */
  readonly schemeIsHttps?: boolean;
}

/** What the peer's SETTINGS say (RFC 9113 6.5.2). */
export declare class PeerSettings {
  headerTableBytes: number;
  /** 4294967295 where it was not said. */
  streamsMax: number;
  initialWindowBytes: number;
  frameBytesMax: number;
  /** 4294967295 where it was not said. */
  headerListBytesMax: number;
  connectProtocol: boolean;
  /** The value of a setting that we do not know by itself, or undefined. */
  valueOf(id: number): number | undefined;
}

export declare class Session<U = unknown> {
  constructor(options: SessionOptions<U>);

  /** Set by the owner before every call; milliseconds of any steady clock, not 0. */
  nowMs: number;
  /** A slot for the owner: the socket's connection object. */
  owner: unknown;

  /** What waits to be sent: [outputStart, outputEnd). Read again after every call. */
  get output(): Uint8Array;
  get outputStart(): number;
  get outputEnd(): number;
  /** The kernel took `bytes` of it. May call streamWritable. */
  outputTaken(bytes: number): void;

  /** Puts preface and SETTINGS into the output. Once, first of all. */
  start(): void;
  /** Takes octets, cut anywhere. The array must not change afterwards. */
  receive(bytes: Uint8Array, from: number, to: number): void;
  /** The output is over its bounds because the peer does not read: do not read from it either. */
  get isClogged(): boolean;

  /** The first SETTINGS of the peer have arrived. */
  readonly isReady: boolean;
  readonly peer: PeerSettings;
  /** The peer has acknowledged our SETTINGS. */
  readonly isAcknowledged: boolean;

  /** Client: a new stream, or undefined where there is no room. Send a head on it next. */
  open(user: U): Stream<U> | undefined;
  /** Client: how many streams could be opened now. */
  get room(): number;
  /** Streams that count: not closed, or (server) closed and not released yet. */
  get streamCount(): number;

  /** Sends a PING; false while one is unanswered. */
  ping(): boolean;
  /**
   * Graceful end: server: GOAWAY(2^31-1) and a PING; when that is answered, or on finishDrain,
   * GOAWAY with the last stream. Client: no new streams.
   */
  drain(): void;
  finishDrain(): void;
  /** GOAWAY was sent or received: no new streams. */
  readonly isGoingAway: boolean;
  /** Nothing is left to do: send the output, then close. */
  get isDrained(): boolean;
  /** Ends the session for a cause of the owner's: GOAWAY(code), every stream is reset. */
  fail(failure: Failure, code: ErrorCode): void;
  /** The connection is gone: every stream is reset with `failure`; nothing is put out. */
  close(failure: Failure): void;
  /** Why the session is over; undefined while it lives. */
  readonly failure: Failure | undefined;
  /** How often each class of frames was over its budget, by FloodClass. */
  readonly floodCounts: Readonly<Uint32Array>;
}
