/**
 * Answers of the mixer that may be used again, denials too. Spec table: mixer 2.1.
 *
 *   lookup(request):  each shape seen so far ─▶ shape.keyOf(request) ─▶ entry, in time ─▶ hit
 *
 * Entries belong to one generation of the configuration; with another, all are void.
 */
import type { AttributeBag } from "../../attribute/bag.ts";
import type { MixerAnswer } from "../policy/mixer-seat.ts";
import type { Validity } from "./check-answer.ts";
import { LruMap } from "./lru-map.ts";
import type { ReferencedShape } from "./referenced-shape.ts";

interface Entry {
  readonly answer: MixerAnswer;
  readonly expiresAtMs: number;
  /** Negative: without end. */
  usesLeft: number;
}

interface KnownShape {
  readonly shape: ReferencedShape;
  /** Begins the keys of its entries. */
  readonly prefix: string;
}

/** As many as there are ways through the rules; each is tried at a lookup. */
const SHAPES_MAX = 64;

/** In UTF-16 units, of all keys and answers: both are as long as somebody makes them. */
const TEXT_MAX = 16 * 1024 * 1024;
/** What an entry is besides. */
const ENTRY_TEXT = 128;

export class CheckCache {
  readonly #entries: LruMap<Entry>;
  readonly #isOn: boolean;
  #shapes: KnownShape[] = [];
  #shapeCount = 0;
  #generation: unknown;
  hits = 0;
  misses = 0;

  /** 0: nothing is kept. */
  constructor(entriesMax: number) {
    this.#entries = new LruMap(entriesMax, TEXT_MAX);
    this.#isOn = entriesMax > 0;
  }

  get size(): number {
    return this.#entries.size;
  }

  get evictions(): number {
    return this.#entries.evictions;
  }

  /** Voids what was kept under another generation. */
  setGeneration(generation: unknown): void {
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#entries.clear();
    this.#shapes = [];
  }

  /** Takes one of its uses. */
  lookup(request: AttributeBag, nowMs: number): MixerAnswer | undefined {
    for (const { shape, prefix } of this.#shapes) {
      const values = shape.keyOf(request);
      if (values === undefined) continue;
      const key = prefix + values;
      const entry = this.#entries.get(key);
      if (entry === undefined) continue;
      if (entry.usesLeft !== 0 && nowMs < entry.expiresAtMs) {
        if (entry.usesLeft > 0) entry.usesLeft--;
        this.hits++;
        return entry.answer;
      }
      this.#entries.delete(key);
    }
    this.misses++;
    return undefined;
  }

  /** False: `request` itself is not of the shape, or the answer holds for this once. */
  store(
    request: AttributeBag,
    shape: ReferencedShape | undefined,
    answer: MixerAnswer,
    { durationMs, useCount, nowMs }: Validity & { readonly nowMs: number },
  ): boolean {
    if (!this.#isOn || shape === undefined || useCount === 0 || durationMs <= 0) return false;
    const values = shape.keyOf(request);
    if (values === undefined) return false;
    const key = this.#known(shape).prefix + values;
    const entry = { answer, expiresAtMs: nowMs + durationMs, usesLeft: useCount };
    this.#entries.set(key, entry, key.length + textOf(answer));
    return true;
  }

  /** The oldest shape makes room: its entries are not found again. */
  #known(shape: ReferencedShape): KnownShape {
    const found = this.#shapes.find((known) => known.shape.signature === shape.signature);
    if (found !== undefined) return found;
    if (this.#shapes.length >= SHAPES_MAX) this.#shapes.shift();
    const known = { shape, prefix: `${this.#shapeCount++}/` };
    this.#shapes.push(known);
    return known;
  }
}

function textOf({ message, direct, requestHeaders, responseHeaders }: MixerAnswer): number {
  let length = ENTRY_TEXT + message.length + (direct?.body.length ?? 0);
  for (const changes of [requestHeaders, responseHeaders])
    for (const { name, value } of changes) length += ENTRY_TEXT + name.length + value.length;
  return length;
}
