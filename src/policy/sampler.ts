/**
 * Which of the exchanges that a rule matches it reports. Spec table: mixer 3.1.
 *
 * A share of them: by the hash of the request's id, so that an exchange is in or out wherever and
 * by whichever rule it is asked, or by chance where it has none. By rate: so many in each window,
 * and then one of `rate`. Of both, what the first takes is what the second counts.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { StringMap } from "../attribute/value.ts";
import type { Attribute, Vocabulary } from "../attribute/vocabulary.ts";
import type { Random } from "../core/random.ts";
import type { RateSampling } from "../model/policy-rule.ts";
import type { ResolvedRandomSampling, ResolvedSampling } from "./resolved-policy.ts";

export interface Sampler {
  /** `nowMs`: of the monotonic clock. */
  takes(bag: AttributeBag, nowMs: number): boolean;
}

interface Surroundings {
  readonly random: Random;
  readonly vocabulary: Vocabulary;
}

const REQUEST_ID = "x-request-id";

export function compileSampler(sampling: ResolvedSampling, of: Surroundings): Sampler {
  switch (sampling.by) {
    case "rate":
      return new RateSampler(sampling);
    case "random":
      return randomSampler(sampling, of);
    case "both": {
      const random = randomSampler(sampling.random, of);
      const rate = new RateSampler(sampling.rate);
      return { takes: (bag, nowMs) => random.takes(bag, nowMs) && rate.takes(bag, nowMs) };
    }
    default:
      return sampling satisfies never;
  }
}

function randomSampler(sampling: ResolvedRandomSampling, of: Surroundings): Sampler {
  const { random } = of;
  const headers = headersOf(sampling, of.vocabulary);
  return {
    takes: (bag) => {
      const id = headers === undefined ? undefined : requestId(bag, headers);
      return (id === undefined ? random() : shareOf(id)) < shareFor(sampling, bag);
    },
  };
}

/** What it reads. */
export function sampledSlots(sampling: ResolvedSampling, vocabulary: Vocabulary): number[] {
  if (sampling.by === "rate") return [];
  const random = sampling.by === "both" ? sampling.random : sampling;
  const headers = headersOf(random, vocabulary);
  return [...(random.attribute?.reads ?? []), ...(headers === undefined ? [] : [headers.slot])];
}

function headersOf(
  { independent }: ResolvedRandomSampling,
  vocabulary: Vocabulary,
): Attribute | undefined {
  const headers = independent ? undefined : vocabulary.find("request.headers");
  return headers?.type === "STRING_MAP" ? headers : undefined;
}

function requestId(bag: AttributeBag, { slot }: Attribute): string | undefined {
  const headers = bag.read(slot);
  if (headers === undefined || headers instanceof Fault) return undefined;
  return (headers as StringMap).get(REQUEST_ID) || undefined;
}

/** Where the expression is no number, none. */
function shareFor(
  { attribute, share, denominator }: ResolvedRandomSampling,
  bag: AttributeBag,
): number {
  if (attribute === undefined) return share;
  const value = attribute.evaluate(bag);
  const isNumber = typeof value === "string" ? /^\d+(\.\d+)?$/.test(value) : true;
  if (value instanceof Fault || typeof value === "object" || !isNumber) return 0;
  return Number(value) / denominator;
}

class RateSampler implements Sampler {
  readonly #windowMs: number;
  readonly #unsampledMax: number;
  readonly #rate: number;
  #startMs = Number.NEGATIVE_INFINITY;
  #seen = 0;

  constructor(sampling: RateSampling) {
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
