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

/** `name;k=v;…`, sorted by k. Two sets of dimensions never give one key. */
export function quotaKey(name: string, dimensions: Dimensions): string {
  let key = name;
  for (const dimension of Object.keys(dimensions).sort())
    key += `;${dimension}=${escaped(keyText(dimensions[dimension]))}`;
  if (key.length <= keyMax) return key;
  return `${key.slice(0, keyMax / 2)};#${new Bun.CryptoHasher("sha256").update(key).digest("hex")}`;
}

/** To the nanosecond, where labels end at the microsecond. */
function keyText(of: TypedValue | undefined): string {
  const text = valueText(of);
  if (of?.type !== "TIMESTAMP") return text;
  return `${timestampText(of.value).slice(0, 20)}${String(of.value.nanos).padStart(9, "0")}Z`;
}

function escaped(text: string): string {
  return /[;\\]/.test(text) ? text.replaceAll("\\", "\\\\").replaceAll(";", "\\;") : text;
}
