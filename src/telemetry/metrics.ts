/**
 * Counters, gauges and histograms of one thread, as slots of one Float64Array in shared memory.
 *
 * Names and labels are resolved once, when a snapshot is compiled; a request then only adds to a
 * slot. Each thread has its own registry and is its only writer, so nothing is locked or lost; a
 * scrape reads the registries of all threads and sums them (prometheus.ts). Exact up to 2^53. The
 * memory is reserved at once and costs nothing until it is written.
 */

import { assert } from "../core/assert.ts";
import { HISTOGRAM_SLOTS, Histogram } from "./histogram.ts";
import { escapeLabelValue } from "./label-value.ts";

export type Labels = Readonly<Record<string, string>>;

export class Counter {
  readonly values: Float64Array;
  readonly slot: number;

  constructor(values: Float64Array, slot: number) {
    this.values = values;
    this.slot = slot;
  }

  increment(): void {
    this.values[this.slot]!++;
  }

  add(n: number): void {
    this.values[this.slot]! += n;
  }

  get value(): number {
    return this.values[this.slot]!;
  }
}

export class Gauge extends Counter {
  decrement(): void {
    this.values[this.slot]!--;
  }

  set(value: number): void {
    this.values[this.slot] = value;
  }
}

/** The series that one snapshot uses; retire it with the snapshot. */
export interface MetricScope {
  /** The same name and labels give the same series, in every scope. `help` of the first wins. */
  counter(name: string, help: string, labels?: Labels): Counter;
  /** `together`: of what all threads see alike, such as endpoints, the sum would say nothing. */
  gauge(name: string, help: string, labels?: Labels, together?: Together): Gauge;
  /** Observes milliseconds. */
  histogram(name: string, help: string, labels?: Labels): Histogram;
  /**
   * Series that no other scope uses disappear from the scrape and their slots are reused, so
   * nothing may write to them any more.
   */
  retire(): void;
}

export interface MetricsOptions {
  /** Above it new series are counted, and share one series a family; 50,000 unless told. */
  readonly seriesMax?: number;
  /** Told of every series made or gone, for a SeriesMirror; it calls `forgotten` for the latter. */
  readonly onSeries?: (change: SeriesChange) => void;
}

/** One step in the life of a registry: plain data, as a view is. */
export type SeriesChange =
  | {
      readonly at: "made";
      readonly family: Omit<FamilyView, "series">;
      readonly labels: string;
      readonly slot: number;
    }
  | {
      readonly at: "gone";
      readonly kind: MetricKind;
      readonly name: string;
      readonly labels: string;
      readonly slot: number;
    };

/** How threads that count the same are put together. Of histograms and counters always the sum. */
export type Together = "sum" | "max" | "min";

/** What a scrape reads: plain data, which another thread may be sent. */
export interface MetricsView {
  readonly values: Float64Array;
  readonly families: readonly FamilyView[];
}

export interface FamilyView {
  readonly name: string;
  readonly help: string;
  readonly kind: MetricKind;
  readonly together: Together;
  readonly series: readonly { readonly labels: string; readonly slot: number }[];
}

export type MetricKind = "counter" | "gauge" | "histogram";

type Instrument = Counter | Gauge | Histogram;

interface Series {
  /** As Prometheus writes them: `a="b",c="d"`, sorted by name; "" for none. */
  readonly labels: string;
  readonly instrument: Instrument;
  readonly family: Family;
  users: number;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly kind: MetricKind;
  readonly together: Together;
  readonly series: Map<string, Series>;
}

const SERIES_MAX = 50_000;
const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const OVERFLOW_LABELS: Labels = { overflow: "true" };

export class Metrics implements MetricScope {
  readonly values: Float64Array;
  readonly #families = new Map<string, Family>();
  readonly #seriesMax: number;
  readonly #freeSlots: number[] = [];
  readonly #freeRuns: number[] = [];
  readonly #own: Scope;
  readonly #refreshers: (() => void)[] = [];
  readonly #overflow: Counter;
  readonly #onSeries: ((change: SeriesChange) => void) | undefined;
  #nextSlot = 0;
  #seriesCount = 0;

  constructor(options: MetricsOptions = {}) {
    this.#seriesMax = options.seriesMax ?? SERIES_MAX;
    this.#onSeries = options.onSeries;
    // One series more for each family that may overflow.
    const slots = (2 * this.#seriesMax + 1_000) * HISTOGRAM_SLOTS;
    this.values = new Float64Array(new SharedArrayBuffer(slots * Float64Array.BYTES_PER_ELEMENT));
    this.#own = new Scope(this);
    this.#overflow = this.counter(
      "mesh_metric_series_refused_total",
      'Series that were not made because there were too many; they count as overflow="true".',
    );
  }

  counter(name: string, help: string, labels: Labels = {}): Counter {
    return this.#own.counter(name, help, labels);
  }

  gauge(name: string, help: string, labels: Labels = {}, together: Together = "sum"): Gauge {
    return this.#own.gauge(name, help, labels, together);
  }

  histogram(name: string, help: string, labels: Labels = {}): Histogram {
    return this.#own.histogram(name, help, labels);
  }

  /** For the series of one snapshot; the registry's own methods are for the process's lifetime. */
  scope(): MetricScope {
    return new Scope(this);
  }

  retire(): void {
    this.#own.retire();
  }

  /** Series in use. */
  get seriesCount(): number {
    return this.#seriesCount;
  }

  /** Called before each view is taken, to bring gauges up to date. */
  beforeScrape(refresh: () => void): void {
    this.#refreshers.push(refresh);
  }

  view(): MetricsView {
    for (const refresh of this.#refreshers) refresh();
    const families = [...this.#families.values()].map(({ series, ...family }) => ({
      ...family,
      series: Array.from(series.values(), (one) => ({
        labels: one.labels,
        slot: one.instrument.slot,
      })),
    }));
    return { values: this.values, families };
  }

  /** For Scope: the series, made if it is new, with no user counted yet. */
  resolve(wanted: Omit<FamilyView, "series">, labels: Labels): Series {
    const family = this.#family(wanted);
    const text = formatLabels(labels);
    const found = family.series.get(text);
    if (found !== undefined) return found;
    if (this.#seriesCount < this.#seriesMax) return this.#add(family, text);
    this.#overflow.increment();
    const overflow = formatLabels(OVERFLOW_LABELS);
    return family.series.get(overflow) ?? this.#add(family, overflow);
  }

  /** For Scope: nobody uses the series any more. */
  remove(series: Series): void {
    const { family, instrument, labels } = series;
    family.series.delete(labels);
    if (family.series.size === 0) this.#families.delete(family.name);
    this.#seriesCount--;
    const { kind, name } = family;
    const { slot } = instrument;
    // A mirror that has not heard of it yet would take a successor's value for its value.
    if (this.#onSeries === undefined) this.forgotten(kind, slot);
    else this.#onSeries({ at: "gone", kind, name, labels, slot });
  }

  /** The mirror knows that this series is gone: its slots may be used again. */
  forgotten(kind: MetricKind, slot: number): void {
    const free = kind === "histogram" ? this.#freeRuns : this.#freeSlots;
    free.push(slot);
  }

  #family(wanted: Omit<FamilyView, "series">): Family {
    const { kind, name } = wanted;
    let family = this.#families.get(name);
    if (family === undefined) {
      assert(METRIC_NAME.test(name), `${name} is a metric name`);
      family = { ...wanted, series: new Map() };
      this.#families.set(name, family);
    }
    assert(family.kind === kind, `${name} is a ${family.kind} everywhere`);
    return family;
  }

  #add(family: Family, labels: string): Series {
    const instrument = this.#instrument(family.kind);
    const series: Series = { labels, instrument, family, users: 0 };
    family.series.set(labels, series);
    this.#seriesCount++;
    const { series: _, ...facts } = family;
    this.#onSeries?.({ at: "made", family: facts, labels, slot: instrument.slot });
    return series;
  }

  #instrument(kind: MetricKind): Instrument {
    const size = kind === "histogram" ? HISTOGRAM_SLOTS : 1;
    const slot = (kind === "histogram" ? this.#freeRuns : this.#freeSlots).pop() ?? this.#nextSlot;
    if (slot === this.#nextSlot) this.#nextSlot += size;
    assert(this.#nextSlot <= this.values.length, "there are slots for seriesMax and overflow");
    this.values.fill(0, slot, slot + size);
    if (kind === "histogram") return new Histogram(this.values, slot);
    return kind === "gauge" ? new Gauge(this.values, slot) : new Counter(this.values, slot);
  }
}

class Scope implements MetricScope {
  readonly #metrics: Metrics;
  readonly #used = new Set<Series>();

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  counter(name: string, help: string, labels: Labels = {}): Counter {
    return this.#use({ kind: "counter", name, help, together: "sum" }, labels) as Counter;
  }

  gauge(name: string, help: string, labels: Labels = {}, together: Together = "sum"): Gauge {
    return this.#use({ kind: "gauge", name, help, together }, labels) as Gauge;
  }

  histogram(name: string, help: string, labels: Labels = {}): Histogram {
    return this.#use({ kind: "histogram", name, help, together: "sum" }, labels) as Histogram;
  }

  retire(): void {
    for (const series of this.#used) if (--series.users === 0) this.#metrics.remove(series);
    this.#used.clear();
  }

  #use(family: Omit<FamilyView, "series">, labels: Labels): Instrument {
    const series = this.#metrics.resolve(family, labels);
    if (!this.#used.has(series)) {
      this.#used.add(series);
      series.users++;
    }
    return series.instrument;
  }
}

/** `a="b",c="d"`, sorted by name, values escaped as the text format asks. */
export function formatLabels(labels: Labels): string {
  return Object.keys(labels)
    .sort()
    .map((name) => {
      assert(LABEL_NAME.test(name), `${name} is a label name`);
      return `${name}="${escapeLabelValue(labels[name]!)}"`;
    })
    .join(",");
}
