/**
 * The attributes of one exchange.
 *
 *     compiled expression ──read(slot)──▶ AttributeBag ─┬─ a view of the exchange: extracts a
 *                                                       │  value when it is read, keeps nothing
 *                                                       ├─ MutableBag: what was set
 *                                                       └─ TrackedBag: notes what is read
 *
 * Nothing is extracted that no rule reads, and an absent attribute costs a comparison.
 */
import { Fault } from "./fault.ts";
import type { TypedValue, Value, ValueType } from "./value.ts";
import type { Attribute, Vocabulary } from "./vocabulary.ts";

/** Undefined: the exchange has no such attribute. A Fault: it has one, of another type. */
export type Reading = Value | Fault | undefined;

export interface AttributeBag {
  /** The value in the form of the type that the vocabulary declares for `slot`. */
  read(slot: number): Reading;
  /**
   * Of a bag that is pointed at one exchange after the other: which one it is at. While it stays
   * the same, so do all values, and what was made of them is used again. Absent: nobody knows.
   */
  readonly moment?: number;
}

/** What carries a value on the wire: several types of the vocabulary are text there. */
export type WireType = "STRING" | "INT64" | "DOUBLE" | "BOOL" | "TIMESTAMP" | "DURATION" | "BYTES";

/** A value as a message has it: BYTES is an IP_ADDRESS of any length. */
export interface WireValue {
  readonly type: WireType | "STRING_MAP";
  readonly value: Value;
}

const carriers: Readonly<Record<ValueType, WireValue["type"]>> = {
  STRING: "STRING",
  DNS_NAME: "STRING",
  EMAIL_ADDRESS: "STRING",
  URI: "STRING",
  INT64: "INT64",
  DOUBLE: "DOUBLE",
  BOOL: "BOOL",
  TIMESTAMP: "TIMESTAMP",
  IP_ADDRESS: "BYTES",
  DURATION: "DURATION",
  STRING_MAP: "STRING_MAP",
};

export function carrierOf(type: ValueType): WireValue["type"] {
  return carriers[type];
}

/** For what comes by wire, command line or test; and for what is laid over another bag. */
export class MutableBag implements AttributeBag {
  readonly vocabulary: Vocabulary;
  readonly #values: Reading[];
  readonly #base: AttributeBag | undefined;

  /** Reads fall through to `base` where nothing was set here. */
  constructor(vocabulary: Vocabulary, base?: AttributeBag) {
    this.vocabulary = vocabulary;
    this.#values = new Array<Reading>(vocabulary.size).fill(undefined);
    this.#base = base;
  }

  read(slot: number): Reading {
    const value = this.#values[slot];
    return value === undefined && this.#base !== undefined ? this.#base.read(slot) : value;
  }

  /** False where the vocabulary has no such name. */
  set(name: string, { type, value }: WireValue): boolean {
    const attribute = this.vocabulary.find(name);
    if (attribute === undefined) return false;
    this.#values[attribute.slot] =
      carrierOf(attribute.type) === type ? value : wrongType(attribute, value);
    return true;
  }

  /** The same for values of the vocabulary's own types. */
  setTyped(name: string, { type, value }: TypedValue): boolean {
    return this.set(name, { type: carrierOf(type), value });
  }

  setSlot(slot: number, value: Value | undefined): void {
    this.#values[slot] = value;
  }

  /** A bag of its own with what was set here so far, over the same base. */
  copy(): MutableBag {
    const copy = new MutableBag(this.vocabulary, this.#base);
    for (let slot = 0; slot < this.#values.length; slot++) copy.#values[slot] = this.#values[slot];
    return copy;
  }

  clear(): void {
    this.#values.fill(undefined);
  }

  /** The same for the wire. */
  *wireValues(): Iterable<readonly [name: string, value: WireValue]> {
    for (const [{ name, type }, value] of this.entries())
      yield [name, { type: carrierOf(type), value }];
  }

  /** What was set here, by name; not what the base has. */
  *entries(): Iterable<readonly [attribute: Attribute, value: Value]> {
    for (const attribute of this.vocabulary.attributes) {
      const value = this.#values[attribute.slot];
      if (value !== undefined && !(value instanceof Fault)) yield [attribute, value];
    }
  }
}

function wrongType({ type }: Attribute, value: Value): Fault {
  const text = typeof value === "object" ? "…" : String(value).slice(0, 64);
  const target = carrierOf(type) === "STRING" ? "string" : type;
  return new Fault(`error converting value to ${target}: '${text}'`);
}
