/**
 * One HTTP/2 stream: plain state, and what its user may do with it (RFC 9113 5.1).
 *
 * A session hands out each stream once: in `headArrived` (server) or by `open` (client). Its user
 * sends a head with HeadBlockWriter, then `write`s content, then `end`s or sends `trailers`; takes
 * what arrives, and says with `consumed` how much of it has gone on, which opens the peer's window
 * again. Whatever happens to the stream, the user calls `release` once, when no work is left that
 * the stream caused: until then it counts among the streams that the peer may have.
 */
import type { MethodId } from "../http/method.ts";
import type { ErrorCode } from "./error-code.ts";
import type { HpackEncoder } from "./hpack-encoder.ts";
import type { OutputBuffer } from "./output-buffer.ts";
import type { PeerSettings } from "./peer-settings.ts";

/** A set of bits: which halves are over; both: closed. */
export const StreamState = { open: 0, localEnded: 1, remoteEnded: 2, closed: 3 } as const;

/** What a stream asks of its session. */
export interface StreamOwner<U> {
  readonly out: OutputBuffer;
  readonly encoder: HpackEncoder;
  readonly peer: PeerSettings;
  /** Client: the :scheme of requests. */
  readonly schemeIsHttps: boolean;
  /** A head is in the output, its HEADERS frame at `at` as counted by OutputBuffer.base. */
  headWritten(stream: Stream<U>, at: number, ends: boolean): void;
  /** As Stream.write. */
  writeData(stream: Stream<U>, bytes: Uint8Array, offset: number, length: number): number;
  endStream(stream: Stream<U>): void;
  writeTrailers(stream: Stream<U>, lines: Uint8Array, from: number, to: number): void;
  resetStream(stream: Stream<U>, code: ErrorCode): void;
  consume(stream: Stream<U>, bytes: number): void;
  releaseStream(stream: Stream<U>): void;
}

export class Stream<U = unknown> {
  readonly owner: StreamOwner<U>;
  readonly id: number;
  /** The user's own object, so that calls of the sink need no lookup. */
  user: U | undefined = undefined;

  state: number = StreamState.open;
  /** Nobody uses it: any more, or ever, since what was received with its head resets it. */
  released = false;
  /** It was reset, by either side: nothing more is told of it. */
  isReset = false;
  /** A final head was received: interim heads are over, HEADERS are trailers from now on. */
  headReceived = false;
  /** A final head was sent. */
  headSent = false;
  /** Client: the method that was sent, which decides how the response is framed. */
  requestMethod: MethodId = 0;
  /** Extended CONNECT with :protocol websocket (RFC 8441), shown and taken as GET with Upgrade. */
  isWebsocket = false;
  /** Server: :scheme was https. */
  schemeIsHttps = false;
  /** After CONNECT or an accepted upgrade: DATA is a tunnel's, and content-length means nothing. */
  isTunnel = false;

  /** Octets that we may still send; negative after a SETTINGS that shrank it. */
  sendWindow = 0;
  /** Octets that the peer may still send. */
  receiveWindow = 0;
  /** Received, and not consumed yet. */
  unconsumed = 0;
  /** Consumed, and not yet given back by a WINDOW_UPDATE. */
  unannounced = 0;
  /** Content announced by content-length, or -1. */
  contentLength = -1;
  contentReceived = 0;
  /** When the windows first refused content that is still waiting (session.nowMs); 0: none is. */
  blockedSinceMs = 0;
  /** `write` took less than all: `streamWritable` follows. */
  waits = false;
  /** Where this stream's last frame begins in all that the session ever put out; -1: none. */
  lastFrameAt = -1;
  /** The session's own: the stream stands in its queue of those that wait. */
  isQueued = false;

  constructor(owner: StreamOwner<U>, id: number) {
    this.owner = owner;
    this.id = id;
  }

  /** No frame of either side follows. */
  get isClosed(): boolean {
    return this.state === StreamState.closed;
  }

  /** The peer has sent all: END_STREAM has been seen, even if `streamEnded` is still to come. */
  get remoteEnded(): boolean {
    return (this.state & StreamState.remoteEnded) !== 0;
  }

  /** We have ended our half, or the stream was reset. */
  get localEnded(): boolean {
    return (this.state & StreamState.localEnded) !== 0;
  }

  /**
   * Queues content as DATA, as far as both windows and the output have room, and returns how many
   * octets it took; less than `length`: `streamWritable` follows once. -1: our half is over.
   */
  write(bytes: Uint8Array, offset: number, length: number): number {
    return this.owner.writeData(this, bytes, offset, length);
  }

  /** Ends our half: END_STREAM on the last frame if it has not left yet, else an empty DATA. */
  end(): void {
    this.owner.endStream(this);
  }

  /** Ends our half with trailers: [from, to) holds HTTP/1.1 lines, each with its CRLF. */
  trailers(lines: Uint8Array, from: number, to: number): void {
    this.owner.writeTrailers(this, lines, from, to);
  }

  /** Ends both halves at once. The sink hears nothing more of this stream. */
  reset(code: ErrorCode): void {
    this.owner.resetStream(this, code);
  }

  /** `bytes` octets of what dataArrived brought have gone on: the peer may send as many. */
  consumed(bytes: number): void {
    this.owner.consume(this, bytes);
  }

  /**
   * The user is done with it. A half that is still open is reset: NO_ERROR where we have answered
   * in full and the peer only need not go on (RFC 9113 8.1), else CANCEL.
   */
  release(): void {
    this.owner.releaseStream(this);
  }
}
