/**
 * memquota: rate limits and allocation quotas, exact within one process. Spec: mixer 7.
 *
 * One counter per quota and set of dimensions. A quota with a duration counts in a rolling window
 * of 100 ms ticks; one without counts what is allocated until it is freed. Memory is bounded:
 * counters that are as good as new go, and above `countersMax` dimensions not seen yet share one.
 */

import { list, mapOf, message } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { integer, text } from "../dialect/schema/scalar.ts";
import {
  type BoundInstance,
  type Environment,
  type LocalHandler,
  localAdapter,
} from "../policy/adapter.ts";
import { amounts, positiveSpan, span } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import {
  type QuotaRequest,
  type QuotaResult,
  quotaFault,
  quotaGranted,
  quotaRefused,
} from "../policy/result.ts";
import { StatusCode } from "../policy/status-code.ts";
import type { AnyInstance, Dimensions } from "../policy/template.ts";
import type { Counter } from "../telemetry/metrics.ts";
import { type Override, overrideFor, QuotaKeys } from "./quota-key.ts";
import { AllocationCell, RollingWindow } from "./rolling-window.ts";
import { TextTree } from "./text-tree.ts";

const TICK_MS = 100;
const SWEEP_MS = 60_000;
/** Between two sweeps while there are too many counters. */
const CROWDED_SWEEP_MS = 1_000;
export const countersMax = 10_000;
/** In each of two generations. */
const DEDUP_MAX = 50_000;

interface Limit {
  readonly maxAmount: number;
  /** 0: until it is freed. */
  readonly validDurationMs: number;
}

interface QuotaParameters extends Limit {
  readonly name: string;
  readonly overrides: readonly (Limit & Override)[];
}

interface Quota extends QuotaParameters {
  readonly keys: QuotaKeys;
  /** Counters that have a key; cleared when one of them goes. */
  readonly known: TextTree<QuotaCounter>;
  /** The same by the dimensions themselves, where exchanges have the same object. */
  found: WeakMap<Dimensions, Found>;
}

interface Found {
  readonly limit: Limit;
  readonly counter: QuotaCounter;
}

const noDimensions: Dimensions = {};

interface Parameters {
  readonly quotas: readonly QuotaParameters[];
  readonly minDeduplicationMs: number;
}

const limitFields = { maxAmount: integer(amounts), validDuration: span() };
const quotaFields = message({
  name: text,
  ...limitFields,
  overrides: list(message({ ...limitFields, dimensions: mapOf(text) })),
});
const fields = message({ quotas: list(quotaFields), minDeduplicationDuration: positiveSpan });

function read(place: Place, bound: readonly BoundInstance[]): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  const names = new Set<string>();
  const quotas = (value.quotas ?? []).map((quota): QuotaParameters => {
    const { name = "", overrides = [] } = quota;
    if (name === "") quota.at("name").error("must be the full name of a quota instance");
    else if (names.has(name)) quota.at("name").error(`${name} has limits already`);
    names.add(name);
    return {
      name,
      maxAmount: quota.maxAmount ?? 0,
      validDurationMs: quota.validDuration ?? 0,
      overrides: overrides.map((override) => ({
        maxAmount: override.maxAmount ?? 0,
        validDurationMs: override.validDuration ?? 0,
        dimensions: (override.dimensions ?? []).map(({ key, value }) => [key, value] as const),
      })),
    };
  });
  for (const { name, template } of bound)
    if (template === "quota" && !names.has(name))
      value.at("quotas").error(`did not find limit defined for quota ${name}`);
  return { quotas, minDeduplicationMs: value.minDeduplicationDuration ?? 1_000 };
}

/** What a counter is asked for. */
interface Counted {
  readonly limit: Limit;
  readonly dimensions: Dimensions;
  readonly nowMs: number;
}

type QuotaCounter = RollingWindow | AllocationCell;

interface Remembered {
  readonly granted: number;
  readonly expiresMs: number;
}

class MemoryQuota implements LocalHandler {
  readonly #quotas: ReadonlyMap<string, Quota>;
  readonly #counters = new Map<string, QuotaCounter>();
  readonly #overflow = new Map<string, QuotaCounter>();
  readonly #overflowed: Counter;
  readonly #minDeduplicationMs: number;
  #recent = new Map<string, Remembered>();
  #older = new Map<string, Remembered>();
  #swappedMs = Number.NaN;
  #sweptMs = Number.NEGATIVE_INFINITY;

  constructor({ quotas, minDeduplicationMs }: Parameters, { metrics }: Environment) {
    this.#quotas = new Map(
      quotas.map((quota) => {
        const known = new TextTree<QuotaCounter>();
        const keys = new QuotaKeys(quota.name, () => known.clear());
        return [quota.name, { ...quota, keys, known, found: new WeakMap() }];
      }),
    );
    this.#minDeduplicationMs = minDeduplicationMs;
    this.#overflowed = metrics.counter(
      "mesh_memquota_overflow_total",
      "Requests counted together because there were too many sets of dimensions.",
    );
  }

  allocate(instance: AnyInstance, request: QuotaRequest): QuotaResult {
    if (instance.template !== "quota" || request.amount === 0) return quotaRefused;
    const quota = this.#quotas.get(instance.name);
    if (quota === undefined)
      return quotaFault(StatusCode.internal, `did not find limit for quota ${instance.name}`);
    const { dedupId, nowMs } = request;
    if (dedupId === "") return this.#count(quota, instance.dimensions ?? noDimensions, request);
    this.#age(nowMs);
    const known = this.#recent.get(dedupId) ?? this.#older.get(dedupId);
    if (known !== undefined) {
      const left = Math.max(0, known.expiresMs - nowMs);
      return quotaGranted(known.granted, left);
    }
    const result = this.#count(quota, instance.dimensions ?? noDimensions, request);
    if (this.#recent.size < DEDUP_MAX) {
      const expiresMs = nowMs + result.validDurationMs;
      this.#recent.set(dedupId, { granted: result.granted, expiresMs });
    }
    return result;
  }

  close(): void {
    this.#counters.clear();
    this.#overflow.clear();
    this.#recent.clear();
    this.#older.clear();
  }

  #count(quota: Quota, dimensions: Dimensions, request: QuotaRequest): QuotaResult {
    const { amount, bestEffort, nowMs } = request;
    const { limit, counter } = quota.found.get(dimensions) ?? this.#find(quota, dimensions, nowMs);
    const tick = Math.floor(nowMs / TICK_MS);
    if (amount < 0) return quotaGranted(counter.release(-amount, tick), 0);
    const available = counter.available(tick);
    if (amount > available && !bestEffort) {
      const waitMs = counter.ticksUntil(amount, tick) * TICK_MS - (nowMs % TICK_MS);
      return waitMs > 0 ? { ...quotaRefused, retryAfterMs: waitMs } : quotaRefused;
    }
    const granted = Math.max(0, Math.min(amount, available));
    counter.take(granted, tick);
    return quotaGranted(granted, limit.validDurationMs);
  }

  #find(quota: Quota, dimensions: Dimensions, nowMs: number): Found {
    const limit = overrideFor(quota.overrides, dimensions) ?? quota;
    const known = quota.known.find(quota.keys.textsOf(dimensions));
    const found = { limit, counter: known ?? this.#counter(quota, { limit, dimensions, nowMs }) };
    // One that is shared because there are too many is not its own for ever.
    if (found.counter !== this.#overflow.get(quota.name)) quota.found.set(dimensions, found);
    return found;
  }

  #counter(quota: Quota, of: Counted): QuotaCounter {
    const { limit, dimensions, nowMs } = of;
    const key = quota.keys.keyOf(dimensions);
    let counter = this.#counters.get(key);
    if (counter === undefined) this.#sweep(nowMs);
    if (counter === undefined && this.#counters.size < countersMax) {
      counter = newCounter(limit);
      this.#counters.set(key, counter);
    }
    if (counter !== undefined) {
      quota.known.remember(quota.keys.textsOf(dimensions), counter);
      return counter;
    }
    this.#overflowed.increment();
    let shared = this.#overflow.get(quota.name);
    if (shared === undefined) {
      shared = newCounter(quota);
      this.#overflow.set(quota.name, shared);
    }
    return shared;
  }

  /** Counters as good as new are not worth keeping. */
  #sweep(nowMs: number): void {
    const pauseMs = this.#counters.size < countersMax ? SWEEP_MS : CROWDED_SWEEP_MS;
    if (Math.abs(nowMs - this.#sweptMs) < pauseMs) return;
    this.#sweptMs = nowMs;
    const tick = Math.floor(nowMs / TICK_MS);
    for (const [key, counter] of this.#counters)
      if (counter.isIdle(tick)) this.#counters.delete(key);
    for (const quota of this.#quotas.values()) {
      quota.known.clear();
      quota.found = new WeakMap();
    }
  }

  /** An id is known for at least the duration, and at most twice that. */
  #age(nowMs: number): void {
    const passedMs = nowMs - this.#swappedMs;
    if (passedMs >= 0 && passedMs < this.#minDeduplicationMs) return;
    const gone = passedMs >= 2 * this.#minDeduplicationMs;
    this.#older = gone ? new Map() : this.#recent;
    this.#recent = new Map();
    this.#swappedMs = nowMs;
  }
}

function newCounter({ maxAmount, validDurationMs }: Limit): QuotaCounter {
  return validDurationMs === 0
    ? new AllocationCell(maxAmount)
    : new RollingWindow(maxAmount, Math.ceil(validDurationMs / TICK_MS));
}

export const memoryQuota = localAdapter<Parameters>({
  name: "memquota",
  templates: ["quota"],
  read,
  open: (parameters, environment) => new MemoryQuota(parameters, environment),
});
