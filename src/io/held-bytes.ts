/**
 * What a process keeps for peers that do not take it, over all of its connections: bounded. Past
 * the bound those go first that have taken nothing for the longest time, so that whoever reads at
 * all outlives those who do not read.
 *
 *   hold ─▶ at the end of the list ── takes some ─▶ to the end again ── takes all ─▶ out
 *              the first of the list: shed, while there is too much
 */

/** Who is told of it: metrics, by their gauge and counter. */
export interface HeldBytesView {
  readonly held: { set(bytes: number): void };
  readonly shed: { increment(): void };
}

/** Who keeps bytes for a peer. */
export interface Holder {
  /** Gives up the peer, and what is kept for it: at once, or soon. */
  shed(): void;
}

/** One holder's part. */
export class Held {
  readonly #owner: HeldBytes;
  readonly holder: Holder;
  bytes = 0;
  /** It was told to go, and counts no more. */
  isShed = false;
  next: Held | undefined = undefined;
  previous: Held | undefined = undefined;

  constructor(owner: HeldBytes, holder: Holder) {
    this.#owner = owner;
    this.holder = holder;
  }

  /** The holder keeps so many bytes now. */
  set(bytes: number): void {
    if (!this.isShed) this.#owner.update(this, bytes);
    else if (bytes === 0) this.isShed = false;
  }

  /** The peer has taken some. */
  moved(): void {
    if (this.bytes > 0) this.#owner.moveToEnd(this);
  }
}

export class HeldBytes {
  readonly bytesMax: number;
  readonly #view: HeldBytesView | undefined;
  #bytes = 0;
  #first: Held | undefined = undefined;
  #last: Held | undefined = undefined;
  #shedding = false;
  readonly #shed = (): void => {
    this.#shedding = false;
    // Some room at once, so that not each new byte costs somebody.
    for (let held = this.#first; held !== undefined; held = this.#first) {
      if (this.#bytes <= this.bytesMax - (this.bytesMax >> 3)) return;
      this.update(held, 0);
      held.isShed = true;
      this.#view?.shed.increment();
      held.holder.shed();
    }
  };

  constructor(bytesMax: number, view?: HeldBytesView) {
    this.bytesMax = bytesMax;
    this.#view = view;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Half of it is in use: whoever brings more is to be stopped sooner. */
  get isTight(): boolean {
    return this.#bytes > this.bytesMax >> 1;
  }

  /** For Held. */
  update(held: Held, bytes: number): void {
    const before = held.bytes;
    if (bytes === before) return;
    this.#bytes += bytes - before;
    held.bytes = bytes;
    this.#view?.held.set(this.#bytes);
    if (before === 0) this.#append(held);
    else if (bytes === 0) this.#unlink(held);
    if (this.#bytes <= this.bytesMax || this.#shedding) return;
    // Not now: whoever holds more is in the middle of something.
    this.#shedding = true;
    queueMicrotask(this.#shed);
  }

  /** For Held. */
  moveToEnd(held: Held): void {
    if (held === this.#last) return;
    this.#unlink(held);
    this.#append(held);
  }

  #append(held: Held): void {
    held.previous = this.#last;
    if (this.#last === undefined) this.#first = held;
    else this.#last.next = held;
    this.#last = held;
  }

  #unlink(held: Held): void {
    const { next, previous } = held;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    held.next = undefined;
    held.previous = undefined;
  }
}
