/** An instance of a metric into the series of its labels, if it is a sample of it. */
import type { Instance } from "../policy/template.ts";
import { valueText } from "../policy/value-text.ts";
import type { MetricSeries } from "./metric-series.ts";
import { numericValue } from "./numeric-value.ts";

/** Characters of a label's value; the rest is cut off. */
const LABEL_MAX = 1_024;

/** Why not; else whether it has a series of its own, rather than that of too many. */
export function recordMetric(
  series: MetricSeries,
  instance: Instance<"metric">,
  nowMs: number,
): string | boolean {
  const { kind, labelNames } = series.definition;
  const value = numericValue(instance.value);
  if (value === undefined) return "its value is no number";
  if (kind === "COUNTER" && !(value >= 0)) return `a counter cannot go down by ${value}`;
  if (kind !== "GAUGE" && !Number.isFinite(value)) return `cannot add ${value}`;
  const labels = labelsOf(instance, labelNames);
  return typeof labels === "string" ? labels : series.record(labels, value, nowMs);
}

function labelsOf(instance: Instance<"metric">, names: readonly string[]): string[] | string {
  const { dimensions = {} } = instance;
  const values: string[] = [];
  for (const name of names) {
    if (!Object.hasOwn(dimensions, name)) return `it has no dimension ${name}`;
    const text = valueText(dimensions[name]);
    values.push(text.length > LABEL_MAX ? text.slice(0, LABEL_MAX) : text);
  }
  return values;
}
