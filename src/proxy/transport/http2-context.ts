/** What all HTTP/2 connections of one engine share. */
import type { MessageHead } from "../../http/message-head.ts";
import { HeadArena } from "../../http2/head-arena.ts";
import { HeadBlockWriter } from "../../http2/head-block-writer.ts";
import type { SendPool } from "../../io/send-buffer.ts";
import type { TimerWheel } from "../../io/timer-wheel.ts";
import { Turn } from "../../io/turn.ts";
import type { EventClock } from "./event-clock.ts";
import type { Http2Stats } from "./http2-stats.ts";
import { meshRequest } from "./mesh-request.ts";
import { Offenders } from "./offenders.ts";

/** Milliseconds. */
export interface Http2Times {
  /** A connection without a stream, from either side. */
  readonly idleMs: number;
  /** A peer that takes nothing of what we have for it. */
  readonly stallMs: number;
  /** SETTINGS and their acknowledgement from the start; a head from its first octet to its last. */
  readonly headMs: number;
  /** After so long a silence a sidecar is asked whether it is still there… */
  readonly silenceMs: number;
  /** … and has so long to say anything. */
  readonly pongMs: number;
  /** From one word of the end to the next, if the peer does not answer: of GOAWAY, and of FIN. */
  readonly graceMs: number;
}

export interface Http2ContextParts {
  readonly clock: EventClock;
  readonly timers: TimerWheel;
  readonly sendPool: SendPool;
  /** Filled for each request that arrives, and for each response. */
  readonly requestHead: MessageHead;
  readonly responseHead: MessageHead;
  readonly times: Http2Times;
  readonly stats: Http2Stats;
}

export class Http2Context {
  readonly clock: EventClock;
  readonly timers: TimerWheel;
  readonly sendPool: SendPool;
  readonly requestHead: MessageHead;
  readonly responseHead: MessageHead;
  readonly times: Http2Times;
  readonly stats: Http2Stats;
  readonly blocks = new HeadBlockWriter();
  readonly arena = new HeadArena();
  readonly turn = new Turn();
  /** Asks another sidecar for a connection inside of the one that there is. */
  meshRequest: MessageHead = meshRequest("");
  /** Says to another sidecar who opens streams; empty: nothing is said. */
  meshClaim: Uint8Array = new Uint8Array(0);
  readonly offenders = new Offenders();

  constructor(parts: Http2ContextParts) {
    this.clock = parts.clock;
    this.timers = parts.timers;
    this.sendPool = parts.sendPool;
    this.requestHead = parts.requestHead;
    this.responseHead = parts.responseHead;
    this.times = parts.times;
    this.stats = parts.stats;
  }
}
