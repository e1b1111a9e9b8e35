/** How many there were in the last second, to a twentieth of it. */
const SLOTS = 20;
const SLOT_MS = 50;

export class RecentCount {
  readonly #slots = new Float64Array(SLOTS);
  #count = 0;
  #atSlot: number;

  constructor(nowMs: number) {
    this.#atSlot = Math.floor(nowMs / SLOT_MS);
  }

  add(amount: number, nowMs: number): void {
    this.#roll(nowMs);
    this.#slots[this.#atSlot % SLOTS]! += amount;
    this.#count += amount;
  }

  count(nowMs: number): number {
    this.#roll(nowMs);
    return this.#count;
  }

  #roll(nowMs: number): void {
    const slot = Math.floor(nowMs / SLOT_MS);
    const steps = Math.min(SLOTS, slot - this.#atSlot);
    for (let i = 1; i <= steps; i++) {
      const passed = (this.#atSlot + i) % SLOTS;
      this.#count -= this.#slots[passed]!;
      this.#slots[passed] = 0;
    }
    if (slot > this.#atSlot) this.#atSlot = slot;
    // Nothing is left of a sum whose parts are all gone, whatever rounding says.
    if (steps === SLOTS) this.#count = 0;
  }
}
