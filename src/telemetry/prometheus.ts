/** The Prometheus text format, 0.0.4, of one registry or of several threads' put together. */
import { BUCKETS_MS } from "./histogram.ts";
import type { FamilyView, MetricKind, Metrics, MetricsView } from "./metrics.ts";

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Series that somebody else counts, as text already. */
export interface TextFamily {
  readonly name: string;
  readonly help: string;
  readonly type: MetricKind;
  /** Lines by labels in braces; without an end of line. */
  readonly series: ReadonlyMap<string, string>;
}

/** Where one series has its slot, in one registry. */
interface Place {
  readonly values: Float64Array;
  readonly slot: number;
}

interface Merged {
  readonly family: Omit<FamilyView, "series">;
  readonly series: Map<string, Place[]>;
  /** By labels in braces. */
  readonly texts: Map<string, string>;
}

/**
 * Families by name, series by labels: two scrapes differ only in values. A family of `others`
 * takes the place of ours of its name: both would count everything twice. Among them, what has the
 * name of a family of another kind is left out, as is a series that is there already: twice would
 * make the whole text invalid.
 */
export function renderPrometheus(
  registries: readonly (Metrics | MetricsView)[],
  others: readonly TextFamily[] = [],
): string {
  const views = registries.map((one) => ("view" in one ? one.view() : one));
  const lines: string[] = [];
  for (const { family, series, texts } of merge(views, others)) {
    lines.push(`# HELP ${family.name} ${escapeHelp(family.help)}`);
    lines.push(`# TYPE ${family.name} ${family.kind}`);
    for (const labels of [...series.keys()].sort()) {
      const places = series.get(labels)!;
      if (family.kind === "histogram") pushHistogram(lines, family.name, labels, places);
      else pushSample(lines, family.name, labels, together(family, places));
    }
    for (const labels of [...texts.keys()].sort()) lines.push(texts.get(labels)!);
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function merge(views: readonly MetricsView[], others: readonly TextFamily[]): Merged[] {
  const families = new Map<string, Merged>();
  for (const { values, families: own } of views) {
    for (const family of own) {
      let merged = families.get(family.name);
      if (merged === undefined) {
        merged = { family, series: new Map(), texts: new Map() };
        families.set(family.name, merged);
      }
      for (const { labels, slot } of family.series) {
        const places = merged.series.get(labels);
        if (places === undefined) merged.series.set(labels, [{ values, slot }]);
        else places.push({ values, slot });
      }
    }
  }
  for (const other of others) addText(families, other);
  return [...families.values()].sort((a, b) => (a.family.name < b.family.name ? -1 : 1));
}

function addText(families: Map<string, Merged>, { name, help, type, series }: TextFamily): void {
  if (series.size === 0) return;
  let merged = families.get(name);
  if (merged === undefined || merged.texts.size === 0) {
    const family = { name, help, kind: type, together: "sum" } as const;
    merged = { family, series: new Map(), texts: new Map() };
    families.set(name, merged);
  }
  if (merged.family.kind !== type) return;
  for (const [labels, text] of series)
    if (!merged.texts.has(labels)) merged.texts.set(labels, text);
}

function pushHistogram(
  lines: string[],
  name: string,
  labels: string,
  places: readonly Place[],
): void {
  const before = labels === "" ? "" : `${labels},`;
  let count = 0;
  for (let bucket = 0; bucket <= BUCKETS_MS.length; bucket++) {
    count += sum(places, bucket);
    const bound = BUCKETS_MS[bucket] ?? "+Inf";
    pushSample(lines, `${name}_bucket`, `${before}le="${bound}"`, count);
  }
  pushSample(lines, `${name}_sum`, labels, sum(places, BUCKETS_MS.length + 1));
  pushSample(lines, `${name}_count`, labels, count);
}

function pushSample(lines: string[], name: string, labels: string, value: number): void {
  lines.push(labels === "" ? `${name} ${format(value)}` : `${name}{${labels}} ${format(value)}`);
}

function together(family: Pick<FamilyView, "together">, places: readonly Place[]): number {
  if (family.together === "sum") return sum(places, 0);
  return Math[family.together](...places.map(({ values, slot }) => values[slot]!));
}

function sum(places: readonly Place[], offset: number): number {
  let total = 0;
  for (const { values, slot } of places) total += values[slot + offset]!;
  return total;
}

function format(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
