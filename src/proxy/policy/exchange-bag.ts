/**
 * The attributes of an exchange of ours, by slot of the vocabulary.
 *
 *   publish: vocabulary, who we are ─▶ a reader for each slot that this proxy can know
 *   ask:     bag.about(facts) ─▶ read(slot) ─▶ reader(facts) ─▶ value
 *
 * One bag serves a whole thread: it is pointed at whatever is asked about, and questions are
 * answered before the next is asked. Values are extracted when they are read and not kept; reading
 * an attribute that this proxy cannot know costs a comparison.
 */
import type { AttributeBag, Reading } from "../../attribute/bag.ts";
import { carrierOf } from "../../attribute/bag.ts";
import { Fault } from "../../attribute/fault.ts";
import type { ValueType } from "../../attribute/value.ts";
import type { Vocabulary } from "../../attribute/vocabulary.ts";

export type Reader<Facts> = (facts: Facts) => Reading;

/** By name, with the type that the value is of. */
export type Readers<Facts> = ReadonlyMap<string, readonly [ValueType, Reader<Facts>]>;

export class ExchangeBag<Facts> implements AttributeBag {
  readonly #readers: readonly (Reader<Facts> | undefined)[];
  #facts: Facts;
  moment = 0;

  constructor(vocabulary: Vocabulary, readers: Readers<Facts>, facts: Facts) {
    this.#facts = facts;
    this.#readers = vocabulary.attributes.map(({ name, type }) => {
      const known = readers.get(name);
      if (known === undefined) return undefined;
      const [ours, read] = known;
      if (carrierOf(ours) === carrierOf(type)) return read;
      const fault = new Fault(`'${name}' is declared ${type}, and is ${ours}`);
      return (from) => (read(from) === undefined ? undefined : fault);
    });
  }

  /** What is read from now on. */
  about(facts: Facts): this {
    this.#facts = facts;
    this.moment++;
    return this;
  }

  read(slot: number): Reading {
    const reader = this.#readers[slot];
    return reader === undefined ? undefined : reader(this.#facts);
  }
}

/** The slots of those of `names` that some rule reads. */
export function readsAny(
  vocabulary: Vocabulary,
  reads: ReadonlySet<number>,
  names: Iterable<string>,
): boolean {
  for (const name of names) {
    const slot = vocabulary.find(name)?.slot;
    if (slot !== undefined && reads.has(slot)) return true;
  }
  return false;
}
