/** What a session is made with. */
import type { MessageHead } from "../http/message-head.ts";
import type { HeadArena } from "./head-arena.ts";
import type { SessionLimits } from "./session-limits.ts";
import type { SessionSink } from "./session-sink.ts";

export interface SessionOptions<U> {
  /** "server": the peer is a downstream and opens streams; "client": it is an upstream. */
  readonly role: "server" | "client";
  readonly sink: SessionSink<U>;
  /**
   * Filled for each head that arrives; may be shared by all sessions of a thread. `receive` may
   * change it even where no head is reported.
   */
  readonly head: MessageHead;
  /** Where heads lie; share one among all sessions of a thread. */
  readonly arena: HeadArena;
  readonly limits?: SessionLimits;
  /** SETTINGS sent besides our own, as (identifier, value) pairs: private ones. */
  readonly settings?: readonly (readonly [id: number, value: number])[];
  /** Server: offers extended CONNECT (RFC 8441). Default true. */
  readonly connectProtocol?: boolean;
  /** The peer's address flooded us lately: its budgets are small. Default false. */
  readonly isOffender?: boolean;
  /** Client: the :scheme of requests is https. Default false. */
  readonly schemeIsHttps?: boolean;
}
