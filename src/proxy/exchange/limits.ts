/**
 * Every bound of the HTTP/1.1 engine, with its default. Nothing that a peer controls is without
 * one. Milliseconds and bytes.
 */

import { defaultHeadLimits, type HeadLimits } from "../../http/message-head.ts";
import { type ChunkLimits, defaultChunkLimits } from "../../http1/chunked-decoder.ts";
import type { SendLimits } from "../../io/send-buffer.ts";
import type { Http2Times } from "../transport/http2-context.ts";

export interface EngineLimits {
  /** From accept, or from the first byte of a later head, to its last byte. */
  readonly headTimeoutMs: number;
  /** A downstream connection without a request. */
  readonly keepAliveIdleMs: number;
  /** A pooled upstream connection; below the 30 s and more of usual servers. */
  readonly upstreamIdleMs: number;
  /** An exchange that moves no byte in either direction. */
  readonly stallTimeoutMs: number;
  /** A tunnel (WebSocket, CONNECT) that moves no byte. */
  readonly tunnelIdleMs: number;
  /** Where a cluster says nothing. */
  readonly connectTimeoutMs: number;
  /** After an error reply: how long to read, so that the client sees the reply and no reset. */
  readonly lingerMs: number;
  readonly lingerBytesMax: number;
  readonly downstreamConnectionsMax: number;
  /** Of requests and responses. */
  readonly head: HeadLimits;
  readonly chunk: ChunkLimits;
  /** Bytes of one side held for a peer that does not read; above it the producer is paused. */
  readonly sendBufferBytes: number;
  /** No side is ever held more; a receive brings up to 512 KiB after the producer was paused. */
  readonly sendBufferBytesMax: number;
  /** Of all connections together, for peers that do not read; above it who reads least goes. */
  readonly heldBytesMax: number;
  /** After such a silence of another sidecar it is asked for a sign of life, and has so long. */
  readonly silenceMs: number;
  readonly pongMs: number;
  /** While draining: how long a connection without a request may still bring one. */
  readonly drainGraceMs: number;
  /** Request bytes kept for a further try. */
  readonly replayBytesMax: number;
  /** Interim (1xx) responses of one exchange. */
  readonly interimMax: number;
  /** Mirrored requests under way in the whole engine. */
  readonly mirrorsMax: number;
}

export const defaultEngineLimits: EngineLimits = {
  headTimeoutMs: 10_000,
  keepAliveIdleMs: 60_000,
  upstreamIdleMs: 20_000,
  stallTimeoutMs: 300_000,
  tunnelIdleMs: 3_600_000,
  connectTimeoutMs: 5_000,
  lingerMs: 1_000,
  lingerBytesMax: 256 * 1024,
  downstreamConnectionsMax: 60_000,
  head: defaultHeadLimits,
  chunk: defaultChunkLimits,
  sendBufferBytes: 64 * 1024,
  sendBufferBytesMax: 2 * 1024 * 1024,
  heldBytesMax: 64 * 1024 * 1024,
  silenceMs: 2_000,
  pongMs: 4_000,
  drainGraceMs: 5_000,
  replayBytesMax: 64 * 1024,
  interimMax: 32,
  mirrorsMax: 256,
};

/** Of what waits for one peer. */
export function sendLimits(limits: EngineLimits): SendLimits {
  const { sendBufferBytes, sendBufferBytesMax } = limits;
  return {
    lowBytes: sendBufferBytes / 2,
    highBytes: sendBufferBytes,
    maxBytes: sendBufferBytesMax,
  };
}

/** Of HTTP/2 connections. */
export function http2Times(limits: EngineLimits): Http2Times {
  return {
    idleMs: limits.keepAliveIdleMs,
    stallMs: limits.stallTimeoutMs,
    headMs: limits.headTimeoutMs,
    silenceMs: limits.silenceMs,
    pongMs: limits.pongMs,
    graceMs: limits.lingerMs,
  };
}

/** For admin, the manager, logs, rules, and the mirrors of requests. */
const OTHER_DESCRIPTORS = 128;
const CONNECTIONS_MIN = 16;

/**
 * The downstream connections of one of `engines` in a process with this limit of open files. Most
 * wait between requests and share the upstream connections of the few that do not, so the larger
 * part is theirs, and two engines are not both full at once. Without descriptors a proxy could not
 * even refuse. `workers`: how many threads have as many engines.
 */
export function connectionsWithin(descriptors: number, engines: number, workers = 1): number {
  const part = engines === 1 ? 0.8 : 0.6;
  const share = Math.floor(((descriptors - OTHER_DESCRIPTORS) * part) / workers);
  return Math.min(defaultEngineLimits.downstreamConnectionsMax, Math.max(CONNECTIONS_MIN, share));
}
