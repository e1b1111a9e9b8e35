/**
 * prometheus: instances of metrics ─▶ series that a scrape reads. Spec: mixer 6.
 *
 * Series expire, by default after an hour, and there is a cap: above it what is new counts together
 * as overflow="true", and that it did is counted.
 */
import { list, message } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { oneOf, text } from "../dialect/schema/scalar.ts";
import {
  type BoundInstance,
  type Environment,
  type LocalHandler,
  localAdapter,
} from "../policy/adapter.ts";
import { positiveSpan, span } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type ReportResult, reported } from "../policy/result.ts";
import type { AnyInstance } from "../policy/template.ts";
import type { Counter } from "../telemetry/metrics.ts";
import { boundsOf, buckets, defaultBounds } from "./metric-buckets.ts";
import { LabelTexts, recordMetric, sharedNames } from "./metric-record.ts";
import {
  type MetricDefinition,
  type MetricKind,
  MetricSeries,
  SeriesBudget,
} from "./metric-series.ts";

interface Parameters {
  /** By the full name of the instance. */
  readonly metrics: ReadonlyMap<string, MetricDefinition>;
  /** 0: series stay. */
  readonly expiryMs: number;
}

export const seriesMax = 20_000;
const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;
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

class Prometheus implements LocalHandler {
  readonly #series: ReadonlyMap<string, MetricSeries>;
  readonly #environment: Environment;
  readonly #expiryMs: number;
  readonly #labelTexts = new LabelTexts();
  readonly #overflowed: Counter;
  readonly #withdraw: () => void;

  constructor({ metrics, expiryMs }: Parameters, environment: Environment) {
    const budget = new SeriesBudget(seriesMax);
    this.#environment = environment;
    this.#expiryMs = expiryMs;
    this.#series = new Map(
      sharedNames(metrics).map(([name, definition]) => [
        name,
        new MetricSeries(definition, budget),
      ]),
    );
    this.#overflowed = environment.metrics.counter(
      "mesh_prometheus_overflow_total",
      'Samples counted as overflow="true", because there were too many series.',
      { handler: environment.handler },
    );
    this.#withdraw = environment.exposition.add(
      () => this.#families(),
      () => this.#current().map((one) => one.measured()),
    );
  }

  report(instances: readonly AnyInstance[]): ReportResult {
    const nowMs = this.#environment.clock.nowMs();
    let complaints: string[] | undefined;
    for (const instance of instances) {
      const complaint = this.#record(instance, nowMs);
      if (complaint === undefined) continue;
      complaints ??= [];
      complaints.push(complaint);
    }
    return complaints ?? reported;
  }

  close(): void {
    this.#withdraw();
  }

  #record(instance: AnyInstance, nowMs: number): string | undefined {
    const series = this.#series.get(instance.name);
    if (instance.template !== "metric" || series === undefined)
      return `no metric is defined for ${instance.name}`;
    const recorded = recordMetric(series, instance, nowMs, this.#labelTexts);
    if (recorded === false) this.#overflowed.increment();
    return typeof recorded === "string" ? `${instance.name}: ${recorded}` : undefined;
  }

  #families() {
    return this.#current().map((one) => one.family());
  }

  /** Without what expired. */
  #current(): readonly MetricSeries[] {
    const { clock } = this.#environment;
    const all = [...this.#series.values()];
    if (this.#expiryMs > 0) for (const one of all) one.expire(clock.nowMs() - this.#expiryMs);
    return all;
  }
}

export const prometheus = localAdapter<Parameters>({
  name: "prometheus",
  templates: ["metric"],
  read,
  open: (parameters, environment) => new Prometheus(parameters, environment),
});
