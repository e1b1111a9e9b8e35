/**
 * How much of a limit was used within the last so many ticks, exactly: each use expires by itself,
 * `ticks` ticks after it happened. Only ticks with a use take memory.
 *
 *   limit 5, 3 ticks     tick  1  2  3  4  5        used at 4: those of 2, 3 and 4
 *                        used  4  .  .  1  .  ──▶   free  5 - 1
 */
/** Expired ticks that may lie around. */
const COMPACT = 16;

export class RollingWindow {
  readonly #limit: number;
  readonly #ticks: number;
  /** Ticks with a use, the newest last, and how much each; those before `#first` have expired. */
  #useTicks: number[] = [];
  #amounts: number[] = [];
  #first = 0;
  #used = 0;
  #now = 0;

  constructor(limit: number, ticks: number) {
    this.#limit = limit;
    this.#ticks = ticks;
  }

  available(tick: number): number {
    this.#advance(tick);
    return this.#limit - this.#used;
  }

  /** All of the amount, or nothing. */
  take(amount: number, tick: number): boolean {
    if (amount > this.available(tick)) return false;
    if (amount === 0) return true;
    const last = this.#useTicks.length - 1;
    if (this.#useTicks[last] === this.#now) this.#amounts[last]! += amount;
    else {
      this.#useTicks.push(this.#now);
      this.#amounts.push(amount);
    }
    this.#used += amount;
    return true;
  }

  /** Ticks until so much is available, if nobody takes of it; 0: now, or never. */
  ticksUntil(amount: number, tick: number): number {
    let available = this.available(tick);
    for (let i = this.#first; available < amount && i < this.#useTicks.length; i++) {
      available += this.#amounts[i]!;
      if (available >= amount) return this.#useTicks[i]! + this.#ticks - this.#now;
    }
    return 0;
  }

  /** Gives back, from the newest use backwards; returns how much was still in use. */
  release(amount: number, tick: number): number {
    this.#advance(tick);
    let left = amount;
    for (let last = this.#amounts.length - 1; left > 0 && last >= this.#first; last--) {
      const part = Math.min(left, this.#amounts[last]!);
      this.#amounts[last]! -= part;
      left -= part;
    }
    this.#used -= amount - left;
    return amount - left;
  }

  /** As good as new. */
  isIdle(tick: number): boolean {
    this.#advance(tick);
    return this.#used === 0;
  }

  /** A clock that was set back stands still until it has caught up. */
  #advance(tick: number): void {
    if (tick <= this.#now) return;
    this.#now = tick;
    const expired = tick - this.#ticks;
    let first = this.#first;
    for (; first < this.#useTicks.length && this.#useTicks[first]! <= expired; first++)
      this.#used -= this.#amounts[first]!;
    this.#first = first;
    if (first <= COMPACT || first * 2 < this.#useTicks.length) return;
    this.#useTicks = this.#useTicks.slice(first);
    this.#amounts = this.#amounts.slice(first);
    this.#first = 0;
  }
}

/** A use that lasts until it is given back. */
export class AllocationCell {
  readonly #limit: number;
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  available(): number {
    return this.#limit - this.#used;
  }

  /** Whoever holds it knows when. */
  ticksUntil(): number {
    return 0;
  }

  take(amount: number): boolean {
    if (amount > this.available()) return false;
    this.#used += amount;
    return true;
  }

  release(amount: number): number {
    const part = Math.min(amount, this.#used);
    this.#used -= part;
    return part;
  }

  isIdle(): boolean {
    return this.#used === 0;
  }
}
