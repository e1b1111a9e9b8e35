/**
 * Which of the exchanges that a rule matches it reports. Spec table: mixer 3.1.
 *
 * By the hash of an attribute (the same value is always in or always out, wherever it is asked), by
 * chance, or by rate: so many in each window, and then one of `rate`.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { TypedValue } from "../attribute/value.ts";
import type { Random } from "../core/random.ts";
import type { ResolvedSampling } from "./resolved-policy.ts";
import { valueText } from "./value-text.ts";

export interface Sampler {
  /** `nowMs`: of the monotonic clock. */
  takes(bag: AttributeBag, nowMs: number): boolean;
}

export function compileSampler(sampling: ResolvedSampling, random: Random): Sampler {
  if (sampling.by === "rate") return new RateSampler(sampling);
  const { attribute, share } = sampling;
  if (attribute === undefined) return { takes: () => random() < share };
  return {
    takes: (bag) => {
      const value = attribute.evaluate(bag);
      if (value instanceof Fault) return random() < share;
      const text =
        typeof value === "string"
          ? value
          : valueText({ type: attribute.type, value } as TypedValue);
      return shareOf(text) < share;
    },
  };
}

class RateSampler implements Sampler {
  readonly #windowMs: number;
  readonly #unsampledMax: number;
  readonly #rate: number;
  #startMs = Number.NEGATIVE_INFINITY;
  #seen = 0;

  constructor(sampling: Extract<ResolvedSampling, { by: "rate" }>) {
    this.#windowMs = sampling.windowMs;
    this.#unsampledMax = sampling.unsampledMax;
    this.#rate = sampling.rate;
  }

  takes(_: AttributeBag, nowMs: number): boolean {
    if (nowMs - this.#startMs >= this.#windowMs) {
      this.#startMs = nowMs;
      this.#seen = 0;
    }
    const beyond = ++this.#seen - this.#unsampledMax;
    return beyond <= 0 || (this.#rate > 0 && beyond % this.#rate === 0);
  }
}

/** [0, 1), evenly: FNV-1a of the text's code units, mixed. */
function shareOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 4_294_967_296;
}
