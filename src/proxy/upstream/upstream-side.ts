/** What an exchange sends its request over: its own connection, or a stream of a shared one. */
import { SocketSide } from "./socket-side.ts";

export abstract class UpstreamSide extends SocketSide {
  /** How long the server says it keeps an idle connection; 0: it does not say. */
  keptMs = 0;

  /** The exchange is over, and both directions are between messages. */
  abstract release(nowMs: number): void;

  /** Gives up what was sent and not answered; no user hears of it. */
  abstract discard(): void;

  /** Orderly, after an answer; no user hears of it. */
  abstract close(): void;
}
