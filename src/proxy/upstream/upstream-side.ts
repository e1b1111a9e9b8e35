/** What an exchange sends its request over: its own connection, or a stream of a shared one. */
import type { Stream } from "../../http2/stream.ts";
import type { StreamUser } from "../transport/stream-user.ts";
import { SocketSide } from "./socket-side.ts";

export abstract class UpstreamSide extends SocketSide {
  /** The stream that it is, where it is no connection of its own; undefined before it is open. */
  stream: Stream<StreamUser> | undefined = undefined;
  /** A stream may become a WebSocket: its peer has said so (RFC 8441 3). */
  get takesWebsocket(): boolean {
    return true;
  }

  /** How long the server says it keeps an idle connection; 0: it does not say. */
  keptMs = 0;

  /** The exchange is over, and both directions are between messages. */
  abstract release(nowMs: number): void;

  /** Gives up what was sent and not answered; no user hears of it. */
  abstract discard(): void;

  /** Orderly, after an answer; no user hears of it. */
  abstract close(): void;

  /** A head was written to the stream: it leaves at the end of the turn. */
  touch(): void {}

  /** END_STREAM once everything is sent; `trailers`: whole lines. Nothing for a connection. */
  endRequest(_trailers: Uint8Array | undefined): void {}
}
