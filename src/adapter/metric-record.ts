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
  labelTexts: LabelTexts,
): string | boolean {
  const { kind, labelNames } = series.definition;
  const value = numericValue(instance.value);
  if (value === undefined) return "its value is no number";
  if (kind === "COUNTER" && !(value >= 0)) return `a counter cannot go down by ${value}`;
  if (kind !== "GAUGE" && !Number.isFinite(value)) return `cannot add ${value}`;
  const labels = labelTexts.of(instance, labelNames);
  return typeof labels === "string" ? labels : series.record(labels, value, nowMs);
}

type Dimensions = NonNullable<Instance<"metric">["dimensions"]>;

/** What there is of dimensions in the order of some names. */
interface Labels {
  readonly names: readonly string[];
  /** A text: why there are none. */
  readonly values: readonly string[] | string;
}

/** Labels by the dimensions that they were made of: exchanges alike have the same object. */
export class LabelTexts {
  readonly #known = new WeakMap<Dimensions, Labels>();
  #dimensions: Dimensions | undefined = undefined;
  #labels: Labels = { names: [], values: "" };

  /** In the order of `names`, the same array each time; a text: why there are none. */
  of(instance: Instance<"metric">, names: readonly string[]): readonly string[] | string {
    const { dimensions } = instance;
    if (dimensions === undefined) return labelsOf({}, names);
    if (dimensions === this.#dimensions && names === this.#labels.names) return this.#labels.values;
    let labels = this.#known.get(dimensions);
    if (labels?.names !== names) {
      labels = { names, values: labelsOf(dimensions, names) };
      this.#known.set(dimensions, labels);
    }
    this.#dimensions = dimensions;
    this.#labels = labels;
    return labels.values;
  }
}

function labelsOf(dimensions: Dimensions, names: readonly string[]): string[] | string {
  const values: string[] = [];
  for (const name of names) {
    if (!Object.hasOwn(dimensions, name)) return `it has no dimension ${name}`;
    const text = valueText(dimensions[name]);
    values.push(text.length > LABEL_MAX ? text.slice(0, LABEL_MAX) : text);
  }
  return values;
}

/** Definitions with the same labels have them in the same array. */
export function sharedNames<D extends { readonly labelNames: readonly string[] }>(
  definitions: Iterable<readonly [name: string, definition: D]>,
): (readonly [name: string, definition: D])[] {
  const known = new Map<string, readonly string[]>();
  return Array.from(definitions, ([name, definition]) => {
    const key = definition.labelNames.join(",");
    const labelNames = known.get(key) ?? definition.labelNames;
    known.set(key, labelNames);
    return [name, { ...definition, labelNames }];
  });
}
