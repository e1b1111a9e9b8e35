/** Who has a stream of an HTTP/2 connection: told what its session says of that stream. */
import type { Failure } from "../../core/failure.ts";
import type { MessageHead } from "../../http/message-head.ts";

export interface StreamUser {
  /** A final response; of client sessions only. The head holds good during the call only. */
  headArrived(head: MessageHead): void;
  /** A 1xx; of client sessions only. */
  interimArrived(head: MessageHead): void;
  /** Hold good during the call only, unless the receiver sets `keeps` of the connection. */
  dataArrived(bytes: Uint8Array, from: number, to: number): void;
  /** Whole lines, the receiver's to keep; may be none. */
  trailersArrived(lines: Uint8Array, from: number, to: number): void;
  /** END_STREAM. */
  messageEnded(): void;
  /** The stream is over, early; nothing follows. */
  streamReset(failure: Failure): void;
  /** Room again, after a short write. */
  writable(): void;
}
