/** What all HTTP/2 connections of one engine share. */
import type { Clock } from "../../core/clock.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { HeadArena } from "../../http2/head-arena.ts";
import { HeadBlockWriter } from "../../http2/head-block-writer.ts";
import type { SendPool } from "../../io/send-buffer.ts";
import type { TimerWheel } from "../../io/timer-wheel.ts";
import { Turn } from "../../io/turn.ts";

export interface Http2ContextParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly sendPool: SendPool;
  /** Filled for each request that arrives, and for each response. */
  readonly requestHead: MessageHead;
  readonly responseHead: MessageHead;
  /** A connection without a stream, from either side. */
  readonly idleMs: number;
  /** A peer that takes nothing of what we have for it. */
  readonly stallMs: number;
}

export class Http2Context {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly sendPool: SendPool;
  readonly requestHead: MessageHead;
  readonly responseHead: MessageHead;
  readonly idleMs: number;
  readonly stallMs: number;
  readonly blocks = new HeadBlockWriter();
  readonly arena = new HeadArena();
  readonly turn = new Turn();

  constructor(parts: Http2ContextParts) {
    this.clock = parts.clock;
    this.timers = parts.timers;
    this.sendPool = parts.sendPool;
    this.requestHead = parts.requestHead;
    this.responseHead = parts.responseHead;
    this.idleMs = parts.idleMs;
    this.stallMs = parts.stallMs;
  }
}
