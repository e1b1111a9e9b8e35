/**
 * Which attributes an answer depends on: a bag around another bag that notes what is read.
 *
 * A caller may keep an answer under the values (EXACT) and the gaps (ABSENCE) noted here. Where
 * nobody wants to know, the bag inside is read directly and none of this exists.
 *
 * Of a string map only the keys that were looked up are noted. A map that is read as a whole cannot
 * be named on the wire; `nameable` then says that the answer is not to be kept.
 */
import { create } from "@bufbuild/protobuf";
import {
  type ReferencedAttributes,
  ReferencedAttributes_AttributeMatchSchema,
  ReferencedAttributes_Condition,
  ReferencedAttributesSchema,
} from "../api/gen/istio/mixer/v1/mixer_pb.ts";
import type { AttributeBag, Reading } from "./bag.ts";
import { Fault } from "./fault.ts";
import type { StringMap } from "./value.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { WordWriter } from "./word-list.ts";

export interface Reference {
  readonly name: string;
  readonly condition: "EXACT" | "ABSENCE";
  /** Of a string map. */
  readonly mapKey?: string;
}

/** Keys may come from traffic: m[request.path]. */
const KEYS_MAX = 256;
const UNREAD = 0;
const PRESENT = 1;
const ABSENT = 2;

export class TrackedBag implements AttributeBag {
  readonly #vocabulary: Vocabulary;
  readonly #bag: AttributeBag;
  readonly #conditions: Uint8Array;
  /** By slot: key ─▶ whether the map has it. */
  readonly #keys = new Map<number, Map<string, boolean>>();
  #keyCount = 0;
  #nameable = true;

  constructor(vocabulary: Vocabulary, bag: AttributeBag) {
    this.#vocabulary = vocabulary;
    this.#bag = bag;
    this.#conditions = new Uint8Array(vocabulary.size);
  }

  read(slot: number): Reading {
    const value = this.#bag.read(slot);
    if (value === undefined) this.#conditions[slot] = ABSENT;
    else if (this.#vocabulary.attributes[slot]!.type !== "STRING_MAP" || value instanceof Fault)
      this.#conditions[slot] = PRESENT;
    else return new TrackedMap(value as StringMap, (key, found) => this.#note(slot, key, found));
    return value;
  }

  /** False: something was read that references cannot name; the answer holds for this once. */
  get nameable(): boolean {
    return this.#nameable;
  }

  #note(slot: number, key: string | undefined, found: boolean): void {
    if (key === undefined || this.#keyCount >= KEYS_MAX) {
      this.#nameable = false;
      return;
    }
    const keys = this.#keys.get(slot) ?? new Map<string, boolean>();
    this.#keys.set(slot, keys);
    if (!keys.has(key)) this.#keyCount++;
    keys.set(key, found);
  }

  references(): Reference[] {
    const found: Reference[] = [];
    for (const { name, slot } of this.#vocabulary.attributes) {
      const condition = this.#conditions[slot];
      if (condition !== UNREAD)
        found.push({ name, condition: condition === ABSENT ? "ABSENCE" : "EXACT" });
      for (const [mapKey, present] of this.#keys.get(slot) ?? [])
        found.push({ name, condition: present ? "EXACT" : "ABSENCE", mapKey });
    }
    return found;
  }

  /** A bag of its own that begins with what was noted so far: each quota has its own references. */
  fork(): TrackedBag {
    const fork = new TrackedBag(this.#vocabulary, this.#bag);
    fork.#conditions.set(this.#conditions);
    for (const [slot, keys] of this.#keys) fork.#keys.set(slot, new Map(keys));
    fork.#keyCount = this.#keyCount;
    fork.#nameable = this.#nameable;
    return fork;
  }
}

/** `note` with a key: it was looked up; without: the map was read as a whole. */
class TrackedMap implements StringMap {
  readonly #map: StringMap;
  readonly #note: (key: string | undefined, found: boolean) => void;

  constructor(map: StringMap, note: (key: string | undefined, found: boolean) => void) {
    this.#map = map;
    this.#note = note;
  }

  get(key: string): string | undefined {
    const value = this.#map.get(key);
    this.#note(key, value !== undefined);
    return value;
  }

  entries(): Iterable<readonly [key: string, value: string]> {
    this.#note(undefined, true);
    return this.#map.entries();
  }
}

const { ABSENCE, EXACT } = ReferencedAttributes_Condition;

/** `globalCount`: how many words of the global list the caller knows. */
export function encodeReferences(
  references: readonly Reference[],
  globalCount: number,
): ReferencedAttributes {
  const words = new WordWriter(globalCount);
  const attributeMatches = references.map(({ name, condition, mapKey }) =>
    create(ReferencedAttributes_AttributeMatchSchema, {
      name: words.indexOf(name),
      condition: condition === "EXACT" ? EXACT : ABSENCE,
      mapKey: mapKey === undefined ? 0 : words.indexOf(mapKey),
    }),
  );
  return create(ReferencedAttributesSchema, { words: words.words, attributeMatches });
}
