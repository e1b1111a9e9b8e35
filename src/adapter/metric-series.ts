/**
 * Series of one metric that an operator defined: counted by labels, gone when nothing was counted
 * for a while, and no more of them than there may be.
 */

import type { ExposedFamily, MeasuredFamily } from "../policy/exposition.ts";
import { sampleText } from "../policy/exposition.ts";
import { escapeLabelValue } from "../telemetry/label-value.ts";
import { TextTree } from "./text-tree.ts";

export type MetricKind = "COUNTER" | "GAUGE" | "DISTRIBUTION";

export interface MetricDefinition {
  /** As it is exposed. */
  readonly name: string;
  readonly help: string;
  readonly kind: MetricKind;
  /** Sorted. */
  readonly labelNames: readonly string[];
  /** Upper bounds of a DISTRIBUTION, rising, without infinity. */
  readonly bounds: readonly number[];
}

export interface Series {
  /** In the order of the label names; undefined: the series that stands for too many. */
  readonly values: readonly string[] | undefined;
  /** `a="b",c="d"`, or nothing. */
  readonly labels: string;
  readonly sinceMs: number;
  value: number;
  /** Of a DISTRIBUTION: how many fell into each bucket, the one without a bound last. */
  readonly counts: number[];
  usedMs: number;
}

/** How many series a handler may have together. */
export class SeriesBudget {
  left: number;

  constructor(left: number) {
    this.left = left;
  }
}

const types = { COUNTER: "counter", GAUGE: "gauge", DISTRIBUTION: "histogram" } as const;
const OVERFLOW = 'overflow="true"';

export class MetricSeries {
  readonly definition: MetricDefinition;
  readonly #budget: SeriesBudget;
  /** By the values of the labels. */
  readonly #series = new Map<string, Series>();
  /** Those among them that have values of their own; cleared when one of them goes. */
  readonly #known = new TextTree<Series>();
  /** The same by the array that has the values; that of the last sample besides. */
  #byArray = new WeakMap<readonly string[], Series>();
  #lastValues: readonly string[] | undefined = undefined;
  #last: Series | undefined = undefined;

  constructor(definition: MetricDefinition, budget: SeriesBudget) {
    this.definition = definition;
    this.#budget = budget;
  }

  /**
   * Values in the order of the label names, mostly in an array that was used before. False: in the
   * series that stands for too many.
   */
  record(values: readonly string[], value: number, nowMs: number): boolean {
    let series = values === this.#lastValues ? this.#last : this.#byArray.get(values);
    if (series === undefined) {
      series = this.at(values, nowMs);
      if (series.values !== undefined) this.#byArray.set(values, series);
    }
    series.usedMs = nowMs;
    if (series.values !== undefined && values !== this.#lastValues) {
      this.#last = series;
      this.#lastValues = values;
    }
    if (this.definition.kind === "GAUGE") series.value = value;
    else series.value += value;
    if (this.definition.kind === "DISTRIBUTION")
      series.counts[bucketOf(this.definition.bounds, value)]!++;
    return series.values !== undefined;
  }

  /** Used now. Undefined, or too many: the series that stands for those. */
  at(values: readonly string[] | undefined, nowMs: number): Series {
    const series =
      values === undefined
        ? this.#overflow(nowMs)
        : (this.#known.find(values) ?? this.#find(values, nowMs));
    series.usedMs = nowMs;
    return series;
  }

  /** Undefined: nothing was counted by these values. */
  known(values: readonly string[]): Series | undefined {
    return this.#series.get(values.join("\u0000"));
  }

  /** Series that were not used since. */
  expire(beforeMs: number): void {
    for (const [key, series] of this.#series) {
      if (series.usedMs > beforeMs) continue;
      this.#forget();
      this.#series.delete(key);
      if (series.labels !== OVERFLOW) this.#budget.left++;
    }
  }

  samples(): Iterable<Series> {
    return this.#series.values();
  }

  measured(): MeasuredFamily {
    const { name, help, kind, labelNames, bounds } = this.definition;
    return { name, help, type: types[kind], labelNames, bounds, samples: this.samples() };
  }

  family(): ExposedFamily {
    const { name, help, kind } = this.definition;
    const series = new Map<string, string>();
    for (const one of this.#series.values())
      series.set(one.labels, seriesText(this.definition, one));
    return { name, help, type: types[kind], series };
  }

  #forget(): void {
    this.#known.clear();
    this.#byArray = new WeakMap();
    this.#lastValues = undefined;
    this.#last = undefined;
  }

  #find(values: readonly string[], nowMs: number): Series {
    const key = values.join("\u0000");
    let series = this.#series.get(key);
    if (series === undefined && this.#budget.left <= 0) return this.#overflow(nowMs);
    series ??= this.#add(key, values, nowMs);
    this.#known.remember(values, series);
    return series;
  }

  #add(key: string, values: readonly string[], sinceMs: number): Series {
    this.#budget.left--;
    const labels = this.definition.labelNames
      .map((name, i) => `${name}="${escapeLabelValue(values[i]!)}"`)
      .join(",");
    return this.#put(key, { values, labels, sinceMs });
  }

  #overflow(sinceMs: number): Series {
    const known = this.#series.get(OVERFLOW);
    return known ?? this.#put(OVERFLOW, { values: undefined, labels: OVERFLOW, sinceMs });
  }

  #put(key: string, facts: Pick<Series, "values" | "labels" | "sinceMs">): Series {
    const { kind, bounds } = this.definition;
    const buckets = kind === "DISTRIBUTION" ? bounds.length + 1 : 0;
    const counts = new Array<number>(buckets).fill(0);
    const series: Series = { ...facts, value: 0, counts, usedMs: 0 };
    this.#series.set(key, series);
    return series;
  }
}

/** Its lines, without the last end of line. */
export function seriesText(
  { name, kind, bounds }: MetricDefinition,
  { labels, value, counts }: Pick<Series, "labels" | "value" | "counts">,
): string {
  const braces = labels === "" ? "" : `{${labels}}`;
  if (kind !== "DISTRIBUTION") return `${name}${braces} ${sampleText(value)}`;
  const before = labels === "" ? "" : `${labels},`;
  let count = 0;
  let text = "";
  for (const [i, n] of counts.entries()) {
    count += n;
    const bound = i < bounds.length ? sampleText(bounds[i]!) : "+Inf";
    text += `${name}_bucket{${before}le="${bound}"} ${sampleText(count)}\n`;
  }
  text += `${name}_sum${braces} ${sampleText(value)}\n`;
  return `${text}${name}_count${braces} ${sampleText(count)}`;
}

/** The first bound that is not less. */
function bucketOf(bounds: readonly number[], value: number): number {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bounds[middle]! >= value) high = middle;
    else low = middle + 1;
  }
  return low;
}
