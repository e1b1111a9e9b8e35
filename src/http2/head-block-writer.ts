/**
 * Writes heads as field blocks into the output of a stream's session, in the manner of
 * http1/head-writer.ts; one for all sessions of a thread:
 *
 *   begin(stream)                       false: the stream cannot send a head any more, stop here
 *   request(head, target, authority) | response(head) | status(code)
 *   fields(head)                        every field not dropped, names in lower case
 *   add(lines), contentLength(n)
 *   end(ends)                           true: END_STREAM with the head
 *
 * Left out by itself: what is for one HTTP/1.1 connection (connection, transfer-encoding, upgrade),
 * Host (it is :authority), and for websockets sec-websocket-key and -accept (RFC 8441 5). `te:
 * trailers` is sent again where the head says acceptsTrailers.
 */
import type { MessageHead } from "../http/message-head.ts";
import type { Stream } from "./stream.ts";

export declare class HeadBlockWriter {
  begin(stream: Stream): boolean;
  /**
   * The pseudo-fields of a request. `target`: path and query instead of the head's; `authority`:
   * instead of the head's. A head that upgradesToWebsocket becomes an extended CONNECT.
   */
  request(
    head: MessageHead,
    target: Uint8Array | undefined,
    authority: Uint8Array | undefined,
  ): void;
  /** :status of the head; 101 becomes 200 on a stream that isWebsocket. */
  response(head: MessageHead): void;
  status(code: number): void;
  fields(head: MessageHead): void;
  /** Prepared HTTP/1.1 lines, each with its CRLF; encoded once for each array that comes often. */
  add(lines: Uint8Array): void;
  contentLength(length: number): void;
  /** Completes the frames. A 1xx status never ends the stream. */
  end(ends: boolean): void;
}
