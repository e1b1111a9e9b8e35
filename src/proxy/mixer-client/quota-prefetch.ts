/**
 * Tokens of one quota, fetched ahead from the mixer in amounts that follow the demand of the last
 * second. Spec table: mixer 2.2.
 *
 *   take(amount) ─▶ enough tokens ─▶ granted            fewer than half of the demand ─▶ fetch more
 *                   too few, the mixer grants ─▶ waits for the fetch; optimistic: granted
 *                   too few, the mixer has refused of late ─▶ denied
 *
 * Exactly what the mixer granted is spent, never more, so a limit that one process uses is exact.
 * Of a shared one, a process holds at most what it fetched and did not use yet: one second of its
 * own demand, or 10. By so much others may be refused too early, and a window that rolls may see so
 * much of the one before. Optimistic, as the original always is, up to one fetch is spent that is
 * then not granted: no request waits, and the first ones after a pause pass whatever the limit.
 */
import { RecentCount } from "./recent-count.ts";

export type Taken = "granted" | "denied" | "waits";

/** Undefined: the mixer could not be asked. */
export type OnTaken = (granted: boolean | undefined) => void;

/** What the mixer said. */
export interface Grant {
  readonly amount: number;
  readonly validMs: number;
  /** Of a refusal: when there may be enough again; absent: unknown. */
  readonly retryAfterMs?: number;
}

/** Asks the mixer for so many, fewer being better than none; `fetched` is told the answer. */
export type Fetch = (amount: number) => void;

interface Slot {
  readonly id: number;
  available: number;
  expiresAtMs: number;
}

interface Waiting {
  readonly amount: number;
  readonly onTaken: OnTaken;
}

interface UnderWay {
  readonly amount: number;
  readonly sentAtMs: number;
  /** Of what was spent before it was granted; 0: nothing. */
  readonly slotId: number;
}

export interface PrefetchOptions {
  readonly optimistic: boolean;
  /** After a refusal, how long the mixer is not asked again. */
  readonly closedMs: number;
}

const AMOUNT_MIN = 10;
/** For how long tokens count that nobody granted. */
const UNGRANTED_MS = 60_000;
const WAITING_MAX = 10_000;

/** Where a part was granted, that part is free again when it is no longer valid. */
function waitOf({ amount, validMs, retryAfterMs = 0 }: Grant): number {
  return amount > 0 ? validMs : retryAfterMs;
}

export class QuotaPrefetch {
  readonly #options: PrefetchOptions;
  readonly #demand: RecentCount;
  #slots: Slot[] = [];
  #slotId = 0;
  /** The last fetch was not granted in full. */
  #isClosed = false;
  /** When the mixer may grant again, as it said. */
  #retryAtMs = -Infinity;
  #underWay: UnderWay[] = [];
  #fetchedAtMs = -Infinity;
  #waiting: Waiting[] = [];

  constructor(options: PrefetchOptions, nowMs: number) {
    this.#options = options;
    this.#demand = new RecentCount(nowMs);
  }

  /** `onTaken` is called where it waits, and only there. */
  take(amount: number, nowMs: number, fetch: Fetch, onTaken: OnTaken): Taken {
    const { optimistic } = this.#options;
    const rests = this.#rests(nowMs);
    if (!rests) this.#fetchIfLow(amount, nowMs, fetch);
    this.#demand.add(amount, nowMs);
    if (this.#spend(amount, nowMs)) return "granted";
    if (optimistic || this.#underWay.length === 0 || rests) return "denied";
    if (this.#waiting.length >= WAITING_MAX) return "denied";
    this.#waiting.push({ amount, onTaken });
    return "waits";
  }

  /** Of the fetch that was made first; undefined: the mixer could not be asked. */
  fetched(grant: Grant | undefined, nowMs: number, fetch: Fetch): void {
    const asked = this.#underWay.shift();
    if (asked === undefined) return;
    const amount = grant?.amount ?? (this.#options.optimistic ? asked.amount : 0);
    const validMs = grant?.validMs ?? UNGRANTED_MS;
    // What is valid for a time is so from when it was granted, which is after it was asked for.
    const from = this.#options.optimistic ? nowMs : asked.sentAtMs;
    this.#settle(asked, amount, from + validMs, nowMs);
    this.#isClosed = grant !== undefined && amount < asked.amount;
    if (grant !== undefined) this.#retryAtMs = nowMs + waitOf(grant);
    if (grant === undefined) this.#release(undefined);
    else this.#serve(nowMs, fetch);
  }

  /** Of who is denied at `nowMs`; 0: unknown. */
  retryAfterMs(nowMs: number): number {
    return Math.max(0, this.#retryAtMs - nowMs);
  }

  /** Nothing is held, under way or awaited: it may be forgotten. */
  isIdle(nowMs: number): boolean {
    return this.#underWay.length === 0 && this.#available(nowMs) === 0;
  }

  /** Closed: not again at once, and one question at a time. */
  #rests(nowMs: number): boolean {
    if (!this.#isClosed) return false;
    return this.#underWay.length > 0 || nowMs - this.#fetchedAtMs < this.#options.closedMs;
  }

  #fetchIfLow(amount: number, nowMs: number, fetch: Fetch): void {
    const available = this.#available(nowMs);
    const desired = Math.max(this.#demand.count(nowMs), AMOUNT_MIN);
    const isLow = available < desired / 2 && this.#underWay.length === 0;
    // Who waits is served by the fetch under way, and asks again after it.
    const isShort = available < amount && (this.#options.optimistic || this.#underWay.length === 0);
    if (!isLow && !isShort) return;
    this.#fetch(Math.max(amount, desired), available === 0 && !this.#isClosed, nowMs, fetch);
  }

  #fetch(amount: number, isSpentAhead: boolean, nowMs: number, fetch: Fetch): void {
    const ahead = isSpentAhead && this.#options.optimistic;
    const slotId = ahead ? this.#add(amount, nowMs + UNGRANTED_MS) : 0;
    this.#fetchedAtMs = nowMs;
    this.#underWay.push({ amount, sentAtMs: nowMs, slotId });
    fetch(amount);
  }

  #settle(asked: UnderWay, granted: number, expiresAtMs: number, nowMs: number): void {
    if (asked.slotId === 0) {
      if (granted > 0) this.#add(granted, expiresAtMs);
      return;
    }
    const slot = this.#slots.find(({ id }) => id === asked.slotId);
    let missing = Math.max(0, asked.amount - granted);
    if (slot !== undefined) {
      const own = Math.min(slot.available, missing);
      slot.available -= own;
      missing -= own;
      slot.expiresAtMs = expiresAtMs;
    }
    // What was spent and not granted is owed from the rest.
    this.#spendUpTo(missing, nowMs);
  }

  #serve(nowMs: number, fetch: Fetch): void {
    while (this.#waiting.length > 0 && this.#spend(this.#waiting[0]!.amount, nowMs))
      this.#waiting.shift()!.onTaken(true);
    if (this.#waiting.length === 0 || this.#underWay.length > 0) return;
    if (this.#isClosed) return this.#release(false);
    const wanted = this.#waiting.reduce((sum, { amount }) => sum + amount, 0);
    this.#fetch(Math.max(wanted, AMOUNT_MIN), false, nowMs, fetch);
  }

  #release(granted: false | undefined): void {
    for (const { onTaken } of this.#waiting.splice(0)) onTaken(granted);
  }

  #add(amount: number, expiresAtMs: number): number {
    this.#slots.push({ id: ++this.#slotId, available: amount, expiresAtMs });
    return this.#slotId;
  }

  #available(nowMs: number): number {
    let sum = 0;
    for (const { available, expiresAtMs } of this.#slots) if (nowMs < expiresAtMs) sum += available;
    return sum;
  }

  /** All of it or nothing. */
  #spend(amount: number, nowMs: number): boolean {
    if (this.#available(nowMs) < amount) return false;
    this.#spendUpTo(amount, nowMs);
    return true;
  }

  /** The oldest first; what has expired goes. */
  #spendUpTo(amount: number, nowMs: number): void {
    let left = amount;
    while (left > 0) {
      const slot = this.#slots[0];
      if (slot === undefined) return;
      if (nowMs < slot.expiresAtMs) {
        const part = Math.min(slot.available, left);
        slot.available -= part;
        left -= part;
        if (slot.available > 0) return;
      }
      this.#slots.shift();
    }
  }
}
