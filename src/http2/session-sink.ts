/**
 * What a session tells its user: one object for all sessions, since the stream says whose it is.
 *
 *   server: headArrived  (dataArrived)*  [trailersArrived]  streamEnded
 *   client: (interimArrived)*  headArrived  (dataArrived)*  [trailersArrived]  streamEnded
 *
 * streamReset may come instead of anything that is still to come, and is the last call for its
 * stream; of a request that is reset by what was received with it, it is the only one, with a
 * stream that is nobody's. Every call may call back into streams and session: write, end, reset,
 * release, open.
 * A head is valid during the call only; its `bytes` never change and may be kept.
 */
import type { Failure } from "../core/failure.ts";
import type { MessageHead } from "../http/message-head.ts";
import type { ErrorCode } from "./error-code.ts";
import type { Stream } from "./stream.ts";

export interface SessionSink<U = unknown> {
  /**
   * A request, or a final response. `stream.remoteEnded`: there is no content, and streamEnded
   * follows at once.
   */
  headArrived(stream: Stream<U>, head: MessageHead): void;
  /** Client: a 1xx. */
  interimArrived(stream: Stream<U>, head: MessageHead): void;
  /** [from, to) of what `receive` was given, never empty: the receiver's if its owner lets it. */
  dataArrived(stream: Stream<U>, bytes: Uint8Array, from: number, to: number): void;
  /** HTTP/1.1 lines, each with its CRLF, forbidden names left out; may be kept, may be empty. */
  trailersArrived(stream: Stream<U>, lines: Uint8Array, from: number, to: number): void;
  /** The message is whole. */
  streamEnded(stream: Stream<U>): void;
  /**
   * The peer, or we because of what the peer sent, reset the stream, or the session is over.
   * `failure.retry` tells what was certainly not processed (Failures.upstreamUnprocessed).
   */
  streamReset(stream: Stream<U>, failure: Failure, code: ErrorCode): void;
  /** After a short write: there is room again. */
  streamWritable(stream: Stream<U>): void;
  /** Server: a request that no stream was made for; it is answered or reset already. */
  requestRefused(failure: Failure, detail: string): void;
  /** SETTINGS of the peer were applied: session.peer, session.room. */
  settingsArrived(): void;
  /** The peer closes gracefully, or after an error; see session.isGoingAway. */
  goawayArrived(code: number, lastStreamId: number): void;
  /**
   * A frame on no stream that RFC 9113 does not define (5.5): [from, to) of `payload`, during the
   * call only. Absent: all are ignored. Known or not, it counts as one that is.
   */
  extensionArrived?(type: number, payload: Uint8Array, from: number, to: number): void;
  /** The answer to session.ping, `rttMs` later. */
  pongArrived(rttMs: number): void;
  /**
   * The connection cannot go on; GOAWAY is in the output: send that, then close. Every stream was
   * reset before.
   */
  sessionFailed(failure: Failure, detail: string, code: ErrorCode): void;
}
