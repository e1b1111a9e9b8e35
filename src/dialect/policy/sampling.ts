/** Which of the exchanges that match a rule act on its reports. Spec table: mixer 3.1. */
import type { RandomSampling, RateSampling, Sampling } from "../../model/policy-rule.ts";
import { message, type Reader, type ValueOf } from "../schema/message.ts";
import { duration, flag, integer, oneOf } from "../schema/scalar.ts";
import { expression } from "./expression-text.ts";

const percentSampled = message({
  numerator: integer({ least: 0 }),
  denominator: oneOf("HUNDRED", "TEN_THOUSAND"),
});

const random = message({
  attributeExpression: expression,
  percentSampled,
  useIndependentRandomness: flag,
});

const rateLimit = message({
  samplingDuration: duration(),
  maxUnsampledEntries: integer({ least: 0, most: Number.MAX_SAFE_INTEGER }),
  samplingRate: integer({ least: 0, most: Number.MAX_SAFE_INTEGER }),
});

const fields = message({ random, rateLimit });

const denominators = { HUNDRED: 100, TEN_THOUSAND: 10_000 } as const;

/** Undefined also where it is empty. */
export const sampling: Reader<Sampling> = (place) => {
  const written = fields(place);
  if (written === undefined) return undefined;
  const random = written.random && ofChance(written.random);
  const rate = written.rateLimit && ofRate(written.rateLimit);
  if (random !== undefined && rate !== undefined) return { by: "both", random, rate };
  return random ?? rate;
};

function ofChance(written: ValueOf<typeof random>): RandomSampling {
  const { attributeExpression: attribute, percentSampled: share } = written;
  const denominator = denominators[share?.denominator ?? "HUNDRED"];
  const numerator = share?.numerator ?? 0;
  if (numerator > denominator)
    share?.at("numerator").warn(`counts as ${denominator}: there are no more parts`);
  return {
    by: "random",
    ...(attribute && attribute.source !== "" && { attribute }),
    share: Math.min(numerator / denominator, 1),
    denominator,
    independent: written.useIndependentRandomness ?? false,
  };
}

function ofRate(written: ValueOf<typeof rateLimit>): RateSampling {
  const { samplingDuration: windowMs = 0, maxUnsampledEntries: unsampledMax = 0 } = written;
  if (windowMs === 0) written.at("samplingDuration").error("must be longer than 0s");
  return { by: "rate", windowMs, unsampledMax, rate: written.samplingRate ?? 0 };
}
