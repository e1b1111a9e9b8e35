/**
 * What is sent of a request: the attributes that rules may read, and those that say whose rules
 * they are. A copy, since the bag is a view of an exchange that goes on.
 */
import { type AttributeBag, carrierOf, MutableBag, type WireValue } from "../../attribute/bag.ts";
import { Fault } from "../../attribute/fault.ts";
import type { StringMap } from "../../attribute/value.ts";
import type { Vocabulary } from "../../attribute/vocabulary.ts";
import type { PolicyScope } from "../../policy/verdict.ts";

/** By these the mixer finds the scope (mixer 3.2). */
const scopeNames = ["context.reporter.kind", "source.namespace", "destination.namespace"];

export class RequestCopier {
  readonly #vocabulary: Vocabulary;
  readonly #scopeSlots: readonly number[];
  readonly #slots = new Map<PolicyScope, readonly number[]>();

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    this.#scopeSlots = scopeNames.flatMap((name) => vocabulary.find(name)?.slot ?? []);
  }

  copy(bag: AttributeBag, scope: PolicyScope): MutableBag {
    const copy = new MutableBag(this.#vocabulary);
    const { attributes } = this.#vocabulary;
    for (const slot of this.#slotsOf(scope)) {
      const value = bag.read(slot);
      if (value === undefined || value instanceof Fault) continue;
      const isMap = attributes[slot]!.type === "STRING_MAP";
      copy.setSlot(slot, isMap ? new Map((value as StringMap).entries()) : value);
    }
    return copy;
  }

  /** For the wire. */
  *values(bag: AttributeBag, scope: PolicyScope): Iterable<readonly [string, WireValue]> {
    for (const slot of this.#slotsOf(scope)) {
      const value = bag.read(slot);
      if (value === undefined || value instanceof Fault) continue;
      const { name, type } = this.#vocabulary.attributes[slot]!;
      yield [name, { type: carrierOf(type), value }];
    }
  }

  #slotsOf(scope: PolicyScope): readonly number[] {
    let slots = this.#slots.get(scope);
    if (slots === undefined) {
      const known = [...scope.reads].filter((slot) => slot < this.#vocabulary.size);
      slots = [...new Set([...this.#scopeSlots, ...known])];
      this.#slots.set(scope, slots);
    }
    return slots;
  }
}
