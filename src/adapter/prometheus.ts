/**
 * prometheus: instances of metrics ─▶ series that a scrape reads. Spec: mixer 6.
 *
 * Series expire, by default after an hour, and there is a cap: above it what is new counts together
 * as overflow="true", and that it did is counted.
 */
import { list, message } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { integer, number, oneOf, text } from "../dialect/schema/scalar.ts";
import {
  type BoundInstance,
  type Environment,
  type LocalHandler,
  localAdapter,
} from "../policy/adapter.ts";
import { positiveSpan, span } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type ReportResult, reported } from "../policy/result.ts";
import type { AnyInstance, Instance } from "../policy/template.ts";
import { valueText } from "../policy/value-text.ts";
import type { Counter } from "../telemetry/metrics.ts";
import {
  type MetricDefinition,
  type MetricKind,
  MetricSeries,
  SeriesBudget,
} from "./metric-series.ts";
import { numericValue } from "./numeric-value.ts";

interface Parameters {
  /** By the full name of the instance. */
  readonly metrics: ReadonlyMap<string, MetricDefinition>;
  /** 0: series stay. */
  readonly expiryMs: number;
}

export const seriesMax = 20_000;
/** Characters of a label's value; the rest is cut off. */
const LABEL_MAX = 1_024;
const BUCKETS_MAX = 500;
const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;
/** Those of Prometheus' libraries, of seconds. */
const defaultBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const finite = integer({ least: 1, most: BUCKETS_MAX });
const buckets = message({
  linearBuckets: message({ numFiniteBuckets: finite, width: number, offset: number }),
  exponentialBuckets: message({ numFiniteBuckets: finite, growthFactor: number, scale: number }),
  explicitBuckets: message({ bounds: list(number) }),
});
const metric = message({
  instanceName: text,
  name: text,
  namespace: text,
  description: text,
  kind: oneOf("UNSPECIFIED", "GAUGE", "COUNTER", "DISTRIBUTION"),
  buckets,
  labelNames: list(text),
});
const fields = message({
  metrics: list(metric),
  metricsExpirationPolicy: message({
    metricsExpiryDuration: span(),
    expiryCheckIntervalDuration: positiveSpan,
  }),
});

type MetricMessage = NonNullable<ReturnType<typeof metric>>;
type BucketsMessage = NonNullable<ReturnType<typeof buckets>>;

function read(place: Place, bound: readonly BoundInstance[]): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  const metrics = new Map<string, MetricDefinition>();
  const names = new Set<string>();
  for (const one of value.metrics ?? []) {
    const definition = readMetric(one);
    const { instanceName = "" } = one;
    if (instanceName === "") one.at("instanceName").error("must be the full name of a metric");
    else if (metrics.has(instanceName)) one.at("instanceName").error("is defined already");
    if (names.has(definition.name))
      one.at().error(`is exposed as ${definition.name}, like another`);
    names.add(definition.name);
    metrics.set(instanceName, definition);
  }
  for (const { name, template, dimensions } of bound) {
    if (template !== "metric") continue;
    const definition = metrics.get(name);
    if (definition === undefined)
      value.at("metrics").error(`has no metric for the instance ${name}`);
    else checkLabels(value.at("metrics"), name, definition, dimensions);
  }
  const expiry = value.metricsExpirationPolicy?.metricsExpiryDuration;
  return { metrics, expiryMs: expiry ?? 3_600_000 };
}

function checkLabels(
  at: Place,
  name: string,
  { labelNames }: MetricDefinition,
  dimensions: readonly string[] = labelNames,
): void {
  for (const label of labelNames)
    if (!dimensions.includes(label)) at.error(`label ${label} is no dimension of ${name}`);
  for (const dimension of dimensions)
    if (!labelNames.includes(dimension))
      at.error(`dimension ${dimension} of ${name} is not among the labels`);
}

function readMetric(value: MetricMessage): MetricDefinition {
  const { instanceName = "", name = "", namespace = "istio", labelNames = [] } = value;
  const base = name === "" ? instanceName : name;
  const exposed = exposedName(namespace === "" ? base : `${namespace}_${base}`);
  if (base !== "" && !METRIC_NAME.test(exposed))
    value.at(name === "" ? "instanceName" : "name").error(`gives ${exposed}, which is no name`);
  if (value.kind === undefined || value.kind === "UNSPECIFIED")
    value.at("kind").error("must be GAUGE, COUNTER or DISTRIBUTION");
  for (const label of labelNames)
    if (!LABEL_NAME.test(label) || label === "le" || label === "overflow")
      value.at("labelNames").error(`${label} cannot be the name of a label`);
  if (new Set(labelNames).size < labelNames.length)
    value.at("labelNames").error("has a name twice");
  return {
    name: exposed,
    help: value.description || base,
    kind: (value.kind ?? "COUNTER") as MetricKind,
    labelNames: labelNames.toSorted(),
    bounds: boundsOf(value.buckets) ?? defaultBounds,
  };
}

/** "/", "." and blanks become "_", and "-" nothing. */
export function exposedName(name: string): string {
  return name.replace(/[/. ]/g, "_").replaceAll("-", "");
}

/** Of N finite buckets N + 1 bounds. */
function boundsOf(value: BucketsMessage | undefined): readonly number[] | undefined {
  if (value === undefined) return undefined;
  const { linearBuckets: linear, exponentialBuckets: exponential, explicitBuckets } = value;
  const given = [linear, exponential, explicitBuckets].filter((one) => one !== undefined);
  if (given.length > 1) value.at().error("must be of one kind");
  let bounds: readonly number[] | undefined;
  if (linear !== undefined) {
    const { numFiniteBuckets = 0, width = 0, offset = 0 } = linear;
    bounds = Array.from({ length: numFiniteBuckets + 1 }, (_, i) => offset + i * width);
  } else if (exponential !== undefined) {
    const { numFiniteBuckets = 0, growthFactor = 0, scale = 0 } = exponential;
    bounds = Array.from({ length: numFiniteBuckets + 1 }, (_, i) => scale * growthFactor ** i);
  } else if (explicitBuckets !== undefined) bounds = explicitBuckets.bounds ?? [];
  if (bounds === undefined) return undefined;
  if (bounds.length > BUCKETS_MAX + 1) value.at().error(`has more than ${BUCKETS_MAX} buckets`);
  else if (bounds.length === 0) value.at().error("has no bounds");
  else if (bounds.some((bound, i) => i > 0 && !(bound > bounds[i - 1]!)))
    value.at().error("must have bounds that rise");
  return bounds;
}

class Prometheus implements LocalHandler {
  readonly #series: ReadonlyMap<string, MetricSeries>;
  readonly #environment: Environment;
  readonly #expiryMs: number;
  readonly #overflowed: Counter;
  readonly #withdraw: () => void;

  constructor({ metrics, expiryMs }: Parameters, environment: Environment) {
    const budget = new SeriesBudget(seriesMax);
    this.#environment = environment;
    this.#expiryMs = expiryMs;
    this.#series = new Map(
      Array.from(metrics, ([name, definition]) => [name, new MetricSeries(definition, budget)]),
    );
    this.#overflowed = environment.metrics.counter(
      "mesh_prometheus_overflow_total",
      'Samples counted as overflow="true", because there were too many series.',
      { handler: environment.handler },
    );
    this.#withdraw = environment.exposition.add(() => this.#families());
  }

  report(instances: readonly AnyInstance[]): ReportResult {
    let complaints: string[] | undefined;
    for (const instance of instances) {
      const complaint = this.#record(instance);
      if (complaint === undefined) continue;
      complaints ??= [];
      complaints.push(complaint);
    }
    return complaints ?? reported;
  }

  close(): void {
    this.#withdraw();
  }

  #record(instance: AnyInstance): string | undefined {
    const series = this.#series.get(instance.name);
    if (instance.template !== "metric" || series === undefined)
      return `no metric is defined for ${instance.name}`;
    const value = numericValue(instance.value);
    if (value === undefined) return `${instance.name}: its value is no number`;
    if (series.definition.kind === "COUNTER" && !(value >= 0))
      return `${instance.name}: a counter cannot go down by ${value}`;
    const labels = labelsOf(instance, series.definition.labelNames);
    if (typeof labels === "string") return `${instance.name}: ${labels}`;
    if (!series.record(labels, value, this.#environment.clock.nowMs()))
      this.#overflowed.increment();
    return undefined;
  }

  #families() {
    const { clock } = this.#environment;
    const all = [...this.#series.values()];
    if (this.#expiryMs > 0) for (const one of all) one.expire(clock.nowMs() - this.#expiryMs);
    return all.map((one) => one.family());
  }
}

function labelsOf(instance: Instance<"metric">, names: readonly string[]): string[] | string {
  const { dimensions = {} } = instance;
  const values: string[] = [];
  for (const name of names) {
    if (!Object.hasOwn(dimensions, name)) return `it has no dimension ${name}`;
    values.push(valueText(dimensions[name]).slice(0, LABEL_MAX));
  }
  return values;
}

export const prometheus = localAdapter<Parameters>({
  name: "prometheus",
  templates: ["metric"],
  read,
  open: (parameters, environment) => new Prometheus(parameters, environment),
});
