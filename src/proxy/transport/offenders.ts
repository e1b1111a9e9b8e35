/**
 * Who flooded us lately, by address: whoever comes back from there begins with small budgets for
 * what floods are made of. Nothing else changes: behind one address there may be many, a sidecar's
 * application or a whole NAT, and those who flood nobody notice nothing.
 *
 * It also bounds how many connections may be held back: ended and told so, read no more, and let go
 * only after a while, so that flooding again costs the peer that time, and us nothing. They are let
 * go one after another: however many come together, they do not come back together.
 */
import type { Failure } from "../../core/failure.ts";
import { Flood } from "../../http2/fault.ts";

const SOURCES_MAX = 1_024;
const REMEMBERED_MS = 60_000;
/** Each may have what the kernel receives for a connection that nobody reads. */
const HELD_BACK_MAX = 256;
/** At least, from the last word to the end of the connection. */
const HOLD_BACK_MS = 1_000;
/** Between the ends of two. */
const APART_MS = 100;

const floods: ReadonlySet<Failure> = new Set(Object.values(Flood).map(({ failure }) => failure));

/** The connection was ended for a flood. */
export function isFlood(failure: Failure): boolean {
  return floods.has(failure);
}

export class Offenders {
  /** Address to when it is forgotten (any steady clock); the oldest first. */
  readonly #sources = new Map<string, number>();
  #heldBack = 0;
  #lastEndMs = 0;

  /** A connection from `address` was ended for a flood. */
  add(address: string, nowMs: number): void {
    this.#sources.delete(address);
    this.#sources.set(address, nowMs + REMEMBERED_MS);
    if (this.#sources.size <= SOURCES_MAX) return;
    for (const oldest of this.#sources.keys()) {
      this.#sources.delete(oldest);
      return;
    }
  }

  has(address: string, nowMs: number): boolean {
    const untilMs = this.#sources.get(address);
    if (untilMs === undefined) return false;
    if (nowMs < untilMs) return true;
    this.#sources.delete(address);
    return false;
  }

  /** When to end it; undefined: there are too many; else `letGo` follows. */
  holdBack(nowMs: number): number | undefined {
    if (this.#heldBack >= HELD_BACK_MAX) return undefined;
    this.#heldBack++;
    this.#lastEndMs = Math.max(nowMs + HOLD_BACK_MS, this.#lastEndMs + APART_MS);
    return this.#lastEndMs;
  }

  letGo(): void {
    this.#heldBack--;
  }
}
