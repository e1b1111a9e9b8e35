/**
 * Whether a peer that was asked in HTTP/2 turned out not to speak it: a SETTINGS frame is the only
 * answer of one that does (RFC 9113 3.4). What was learnt holds for a while, longer each time that
 * it is learnt again, since another program may listen there by then.
 *
 *   unknown ── bytes that are no SETTINGS ─▶ http1 (a minute, doubled)
 *      │   └── closed or silent ──────────▶ mute (5 s, doubled)
 *      └──◀── SETTINGS, no listener, time ──┘
 */

/** It has said something else: it is well, and no HTTP/2 server. */
const ANSWERED_MS = 60_000;
/** It may just be starting, or stopping. */
const MUTE_MS = 5_000;
const HOLD_MS_MAX = 600_000;

export class PeerProtocol {
  #at: "unknown" | "http1" | "mute" = "unknown";
  #untilMs = 0;
  #holdMs = 0;

  refused(answered: boolean, nowMs: number): void {
    const doubled = Math.min(HOLD_MS_MAX, this.#holdMs * 2);
    this.#holdMs = Math.max(doubled, answered ? ANSWERED_MS : MUTE_MS);
    this.#at = answered ? "http1" : "mute";
    this.#untilMs = nowMs + this.#holdMs;
  }

  /** It speaks HTTP/2, or whoever was there is gone. */
  forget(): void {
    if (this.#at === "unknown" && this.#holdMs === 0) return;
    this.#at = "unknown";
    this.#holdMs = 0;
  }

  /** Not worth an attempt in HTTP/2. */
  lacksHttp2(nowMs: number): boolean {
    return this.#at !== "unknown" && nowMs < this.#untilMs;
  }

  /** The same, and it has said so itself. */
  answersOtherwise(nowMs: number): boolean {
    return this.#at === "http1" && nowMs < this.#untilMs;
  }
}
