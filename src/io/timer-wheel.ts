/**
 * Many coarse timers for the price of one. Entries are embedded in their owners and linked into the
 * slots of a wheel with three levels (a tick, 256 ticks, 65,536 ticks a slot); to arm, re-arm and
 * disarm allocate nothing and take constant time.
 *
 * Lazy: a deadline that moves later, or goes away, leaves the entry where it is; the slot sorts it
 * out when its time comes. So an idle limit that every request pushes back costs one number store.
 * A timer never expires early, and at most one tick late (later only if the loop was stalled). The
 * wheel sleeps until its next occupied slot, and for good when it is empty.
 */
import type { Clock } from "../core/clock.ts";

/** One timer of one owner: extend it to say what to do. */
export abstract class Timer {
  /** In the wheel's clock; 0: not armed. This and the rest are the wheel's to write. */
  deadlineMs = 0;
  /** A deadline after this is found in time by the slot that the timer is in. */
  visitMs = 0;
  slot = UNLINKED;
  next: Timer | undefined = undefined;
  previous: Timer | undefined = undefined;

  abstract expire(): void;

  get armed(): boolean {
    return this.deadlineMs !== 0;
  }
}

const UNLINKED = -1;
const SLOTS = 256;
/** Ticks that one slot of each level covers. */
const SPANS = [1, SLOTS, SLOTS * SLOTS] as const;
const HORIZON = SLOTS * SLOTS * SLOTS;

export class TimerWheel {
  readonly #clock: Clock;
  readonly #tickMs: number;
  /** The three levels one after another; each slot is the head of a list. */
  readonly #slots: (Timer | undefined)[] = Array.from({ length: 3 * SLOTS }, () => undefined);
  readonly #counts = [0, 0, 0];
  /** All slots up to this tick have been visited. */
  #tick = 0;
  /** The earliest occupied slot, for which `#cancelWake` stands. */
  #wakeTick = Number.POSITIVE_INFINITY;
  #cancelWake: (() => void) | undefined;
  #advancing = false;

  constructor(clock: Clock, tickMs = 10) {
    this.#clock = clock;
    this.#tickMs = tickMs;
  }

  get tickMs(): number {
    return this.#tickMs;
  }

  /** Timers linked, of which some may be disarmed: 0 means that nothing runs. */
  get linked(): number {
    return this.#counts[0]! + this.#counts[1]! + this.#counts[2]!;
  }

  /** Expires `ms` from now; replaces the timer's former deadline. */
  arm(timer: Timer, ms: number): void {
    this.armAt(timer, this.#clock.nowMs() + ms);
  }

  /** As arm, for callers that know the time already. */
  armAt(timer: Timer, deadlineMs: number): void {
    timer.deadlineMs = deadlineMs;
    if (timer.slot !== UNLINKED) {
      if (deadlineMs > timer.visitMs) return;
      this.#unlink(timer);
    }
    if (!this.#advancing) this.#catchUp();
    const visit = this.#link(timer);
    if (visit < this.#wakeTick && !this.#advancing) this.#wakeAt(visit);
  }

  /** Will not expire; cheap, for timers that will be armed again. */
  disarm(timer: Timer): void {
    timer.deadlineMs = 0;
  }

  /** As disarm, and the wheel keeps no reference: for an owner that goes away. */
  release(timer: Timer): void {
    timer.deadlineMs = 0;
    if (timer.slot !== UNLINKED) this.#unlink(timer);
  }

  /** Nothing is due before the next wake: the current tick may jump without visiting slots. */
  #catchUp(): void {
    const now = Math.floor(this.#clock.nowMs() / this.#tickMs);
    const to = Math.min(now, this.#wakeTick - 1);
    if (to > this.#tick) this.#tick = to;
  }

  /** Returns the tick at which the slot is visited. */
  #link(timer: Timer): number {
    const wanted = Math.ceil(timer.deadlineMs / this.#tickMs);
    const tick = Math.min(Math.max(wanted, this.#tick + 1), this.#tick + HORIZON - 1);
    const ahead = tick - this.#tick;
    const level = ahead < SPANS[1] ? 0 : ahead < SPANS[2] ? 1 : 2;
    const index = Math.floor(tick / SPANS[level]);
    const slot = level * SLOTS + (index % SLOTS);
    const visit = index * SPANS[level];
    timer.slot = slot;
    timer.visitMs = (visit - 1) * this.#tickMs;
    const head = this.#slots[slot];
    timer.next = head;
    if (head !== undefined) head.previous = timer;
    this.#slots[slot] = timer;
    this.#counts[level]!++;
    return visit;
  }

  #unlink(timer: Timer): void {
    const { slot, next, previous } = timer;
    if (previous === undefined) this.#slots[slot] = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    timer.next = undefined;
    timer.previous = undefined;
    timer.slot = UNLINKED;
    this.#counts[slot < SLOTS ? 0 : slot < 2 * SLOTS ? 1 : 2]!--;
  }

  #wake(): void {
    this.#cancelWake = undefined;
    this.#wakeTick = Number.POSITIVE_INFINITY;
    this.#advancing = true;
    this.#advance(Math.floor(this.#clock.nowMs() / this.#tickMs));
    this.#advancing = false;
    const next = this.#nextVisit();
    if (next !== Number.POSITIVE_INFINITY) this.#wakeAt(next);
  }

  #wakeAt(tick: number): void {
    this.#cancelWake?.();
    this.#wakeTick = tick;
    const ms = Math.max(0, tick * this.#tickMs - this.#clock.nowMs());
    this.#cancelWake = this.#clock.after(ms, () => this.#wake());
  }

  #advance(to: number): void {
    while (this.#tick < to) {
      // With nothing on the finest level, only its wrap-around has something to do.
      if (this.#counts[0] === 0) {
        const beforeWrap = this.#tick - (this.#tick % SLOTS) + SLOTS - 1;
        this.#tick = this.linked === 0 ? to : Math.min(to, Math.max(beforeWrap, this.#tick));
        if (this.#tick === to) return;
      }
      const tick = ++this.#tick;
      if (tick % SPANS[2] === 0) this.#visit(2 * SLOTS + ((tick / SPANS[2]) % SLOTS));
      if (tick % SPANS[1] === 0) this.#visit(SLOTS + ((tick / SPANS[1]) % SLOTS));
      this.#visit(tick % SLOTS);
    }
  }

  /** Empties a slot: what is due expires, the rest moves to the slot of its deadline. */
  #visit(slot: number): void {
    for (let timer = this.#slots[slot]; timer !== undefined; timer = this.#slots[slot]) {
      this.#unlink(timer);
      if (timer.deadlineMs === 0) continue;
      if (timer.deadlineMs > this.#tick * this.#tickMs) this.#link(timer);
      else {
        timer.deadlineMs = 0;
        timer.expire();
      }
    }
  }

  #nextVisit(): number {
    let first = Number.POSITIVE_INFINITY;
    for (let level = 0; level < 3; level++) {
      if (this.#counts[level] === 0) continue;
      const span = SPANS[level]!;
      const base = Math.floor(this.#tick / span);
      for (let i = 1; i <= SLOTS; i++) {
        if (this.#slots[level * SLOTS + ((base + i) % SLOTS)] === undefined) continue;
        first = Math.min(first, (base + i) * span);
        break;
      }
    }
    return first;
  }
}
