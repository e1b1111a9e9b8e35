/**
 * Rate, success and latency of each service and version over a window, from what many proxies
 * counted in it. Callers' proxies are believed first, since they see what never arrived; a service
 * that only unknown callers use is seen by its own.
 */
import type { CountsBySeries, RequestCounts, SeriesKey } from "./request-counts.ts";

export interface Signals {
  readonly requestsPerSecond: number;
  /** 0..100 */
  readonly successPercent: number;
  /** Upper bound of the bucket in which it lies, between its bounds by proportion. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface ServiceSignals extends Signals {
  readonly versions: Readonly<Record<string, Signals>>;
  /** Requests each second by the service that called. */
  readonly callers: Readonly<Record<string, number>>;
}

export function goldenSignals(
  window: readonly CountsBySeries[],
  windowMs: number,
): ReadonlyMap<string, ServiceSignals> {
  const series = window.flatMap((counts) => [...counts.values()]);
  const signals = new Map<string, ServiceSignals>();
  if (windowMs <= 0) return signals;
  for (const [service, all] of Map.groupBy(series, (one) => one.service)) {
    const bySource = all.filter(({ reporter }) => reporter === "source");
    const believed = bySource.length > 0 ? bySource : all;
    const versions: Record<string, Signals> = {};
    for (const [version, some] of Map.groupBy(believed, (one) => one.version))
      versions[version] = signalsOf(some, windowMs);
    const callers: Record<string, number> = {};
    for (const [source, some] of Map.groupBy(believed, (one) => one.source))
      callers[source] = signalsOf(some, windowMs).requestsPerSecond;
    signals.set(service, { ...signalsOf(believed, windowMs), versions, callers });
  }
  return signals;
}

function signalsOf(series: readonly (SeriesKey & RequestCounts)[], windowMs: number): Signals {
  const sum = (pick: (one: RequestCounts) => number): number =>
    series.reduce((total, one) => total + pick(one), 0);
  const requests = sum((one) => one.requests);
  const buckets = new Map<number, number>();
  for (const one of series)
    for (const [bound, count] of one.buckets) buckets.set(bound, (buckets.get(bound) ?? 0) + count);
  return {
    requestsPerSecond: round((requests * 1_000) / windowMs, 10),
    successPercent: requests === 0 ? 100 : 100 - (100 * sum((one) => one.failures)) / requests,
    p50Ms: quantileMs(buckets, 0.5),
    p99Ms: quantileMs(buckets, 0.99),
  };
}

/** From cumulative buckets, as Prometheus does it; above the last bound: that bound. */
export function quantileMs(buckets: ReadonlyMap<number, number>, quantile: number): number {
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  const total = sorted.at(-1)?.[1] ?? 0;
  const rank = quantile * total;
  let [fromMs, below] = [0, 0];
  for (const [bound, count] of sorted) {
    if (count >= rank && count > below) {
      if (bound === Number.POSITIVE_INFINITY) return fromMs;
      return round(fromMs + ((bound - fromMs) * (rank - below)) / (count - below), 10);
    }
    [fromMs, below] = [bound, count];
  }
  return 0;
}

function round(value: number, parts: number): number {
  return Math.round(value * parts) / parts;
}
