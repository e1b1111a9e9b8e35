/** Which counter of a quota an instance is counted by, and which limit holds for it. */
import type { TypedValue } from "../attribute/value.ts";
import type { Dimensions } from "../policy/template.ts";
import { textEquals, timestampText, valueText } from "../policy/value-text.ts";

export interface Override {
  /** Of the dimensions, as text; none matches everything. */
  readonly dimensions: readonly (readonly [name: string, value: string])[];
}

/** The first override of which every dimension is the instance's. */
export function overrideFor<O extends Override>(
  overrides: readonly O[],
  dimensions: Dimensions,
): O | undefined {
  for (const override of overrides)
    if (override.dimensions.every(([name, value]) => textEquals(value, dimensions[name])))
      return override;
  return undefined;
}

/** Characters of a key; what is longer is told apart by a digest. */
const keyMax = 256;

/**
 * `name;k=v;…`, sorted by k. Two sets of dimensions never give one key. An instance of one name has
 * the same dimensions each time, in the same order, so their order is worked out once.
 */
export class QuotaKeys {
  readonly #name: string;
  readonly #onNames: () => void;
  #names: readonly string[] = [];
  #sorted: readonly string[] = [];
  readonly #texts: string[] = [];

  /** `onNames`: dimensions have other names than before. */
  constructor(name: string, onNames = (): void => {}) {
    this.#name = name;
    this.#onNames = onNames;
  }

  keyOf(dimensions: Dimensions): string {
    let key = this.#name;
    for (const name of this.#sortedNames(dimensions))
      key += `;${name}=${escaped(keyText(dimensions[name]))}`;
    if (key.length <= keyMax) return key;
    const digest = new Bun.CryptoHasher("sha256").update(key).digest("hex");
    return `${key.slice(0, keyMax / 2)};#${digest}`;
  }

  /** What is joined to a key; the array is the same each time. */
  textsOf(dimensions: Dimensions): readonly string[] {
    const names = this.#sortedNames(dimensions);
    const texts = this.#texts;
    if (texts.length !== names.length) texts.length = names.length;
    for (let i = 0; i < names.length; i++) texts[i] = keyText(dimensions[names[i]!]);
    return texts;
  }

  #sortedNames(dimensions: Dimensions): readonly string[] {
    let count = 0;
    let same = true;
    for (const name in dimensions) if (this.#names[count++] !== name) same = false;
    if (!same || count !== this.#names.length) {
      this.#names = Object.keys(dimensions);
      this.#sorted = this.#names.toSorted();
      this.#onNames();
    }
    return this.#sorted;
  }
}

/** To the nanosecond, where labels end at the microsecond. */
function keyText(of: TypedValue | undefined): string {
  const text = valueText(of);
  if (of?.type !== "TIMESTAMP") return text;
  return `${timestampText(of.value).slice(0, 20)}${String(of.value.nanos).padStart(9, "0")}Z`;
}

function escaped(text: string): string {
  return text.includes(";") || text.includes("\\")
    ? text.replaceAll("\\", "\\\\").replaceAll(";", "\\;")
    : text;
}
