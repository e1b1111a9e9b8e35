/**
 * From a proxy's Prometheus text to what the golden signals need: requests, failures and durations
 * by the service that was called and its version. Everything else in the text is passed over.
 */

/** One series: counters that only grow, until their proxy starts anew. */
export interface RequestCounts {
  requests: number;
  /** Answered 5xx, or not at all. */
  failures: number;
  /** Requests that took at most so many milliseconds, by that bound; +Inf is all of them. */
  readonly buckets: Map<number, number>;
}

export interface SeriesKey {
  readonly reporter: string;
  readonly service: string;
  readonly version: string;
  /** Who called; "unknown" where nobody said. */
  readonly source: string;
}

export type CountsBySeries = ReadonlyMap<string, SeriesKey & RequestCounts>;

const REQUESTS = "istio_requests_total{";
const DURATIONS = "istio_request_duration_milliseconds_bucket{";
/** A proxy that has more series than any mesh would is not believed. */
const SERIES_MAX = 20_000;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

export function readRequestCounts(text: string): CountsBySeries {
  const series = new Map<string, SeriesKey & RequestCounts>();
  for (const line of text.split("\n")) {
    const isRequests = line.startsWith(REQUESTS);
    if (!isRequests && !line.startsWith(DURATIONS)) continue;
    const end = line.lastIndexOf("} ");
    const value = Number(line.slice(end + 2));
    if (end === -1 || !Number.isFinite(value)) continue;
    const labels = new Map([...line.slice(0, end).matchAll(LABEL)].map((m) => [m[1], m[2] ?? ""]));
    const counts = seriesOf(series, {
      reporter: labels.get("reporter") ?? "",
      service: labels.get("destination_service") ?? "",
      version: labels.get("destination_version") ?? "",
      source: labels.get("source_workload") ?? "",
    });
    if (isRequests) {
      const code = labels.get("response_code") ?? "0";
      counts.requests += value;
      if (code.startsWith("5") || code === "0") counts.failures += value;
    } else {
      const bound =
        labels.get("le") === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels.get("le"));
      counts.buckets.set(bound, (counts.buckets.get(bound) ?? 0) + value);
    }
  }
  return series;
}

function seriesOf(series: Map<string, SeriesKey & RequestCounts>, key: SeriesKey): RequestCounts {
  const name = `${key.reporter}|${key.service}|${key.version}|${key.source}`;
  const known = series.get(name);
  if (known !== undefined) return known;
  const made = { ...key, requests: 0, failures: 0, buckets: new Map<number, number>() };
  if (series.size < SERIES_MAX) series.set(name, made);
  return made;
}

/** What was counted between two readings of one proxy; from zero where it started anew. */
export function countsSince(before: CountsBySeries, after: CountsBySeries): CountsBySeries {
  const since = new Map<string, SeriesKey & RequestCounts>();
  for (const [name, now] of after) {
    const then = before.get(name);
    const fresh = then === undefined || then.requests > now.requests;
    const requests = now.requests - (fresh ? 0 : then.requests);
    if (requests === 0) continue;
    const buckets = new Map(
      [...now.buckets].map(([bound, count]) => [
        bound,
        count - (fresh ? 0 : (then.buckets.get(bound) ?? 0)),
      ]),
    );
    const failures = now.failures - (fresh ? 0 : then.failures);
    since.set(name, { ...now, requests, failures, buckets });
  }
  return since;
}
