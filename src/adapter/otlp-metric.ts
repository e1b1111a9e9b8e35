/**
 * Metrics that operators define for OTLP: read from parameters, and what was counted ─▶ points.
 * Sums and distributions are cumulative from when their series began; one that expired begins anew.
 */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type KeyValueSchema, MetricSchema } from "../api/gen/otlp/v1/otlp_pb.ts";
import { list, type Message, message, type Reader } from "../dialect/schema/message.ts";
import { checkedText, oneOf, text } from "../dialect/schema/scalar.ts";
import type { BoundInstance } from "../policy/adapter.ts";
import { boundsOf, buckets, defaultBounds } from "./metric-buckets.ts";
import type { MetricDefinition, MetricSeries } from "./metric-series.ts";
import { textAttributes, unixNanos } from "./otlp-record.ts";

export interface OtlpMetric extends MetricDefinition {
  readonly unit: string;
}

export const metricReader = message({
  instanceName: text,
  name: checkedText((name) =>
    /^[A-Za-z][\w./-]{0,254}$/.test(name) ? undefined : "is no name of an instrument",
  ),
  description: text,
  unit: text,
  kind: oneOf("UNSPECIFIED", "GAUGE", "COUNTER", "DISTRIBUTION"),
  buckets,
  labelNames: list(text),
});

type Written = Message<{ readonly metrics: Reader<readonly WrittenMetric[]> }>;
type WrittenMetric = NonNullable<ReturnType<typeof metricReader>>;

/** By the full name of the instance; labels are its dimensions, or those that are named. */
export function readMetrics(
  value: Written,
  bound: readonly BoundInstance[],
): ReadonlyMap<string, OtlpMetric> {
  const instances = new Map(bound.map((one) => [one.name, one]));
  const metrics = new Map<string, OtlpMetric>();
  for (const written of value.metrics ?? []) {
    const { instanceName = "", kind, labelNames, description = "", unit = "" } = written;
    const { dimensions = [] } = instances.get(instanceName) ?? {};
    if (instanceName === "") written.at("instanceName").error("must be the full name of a metric");
    else if (metrics.has(instanceName)) written.at("instanceName").error("is defined already");
    for (const label of labelNames ?? [])
      if (instances.has(instanceName) && !dimensions.includes(label))
        written.at("labelNames").error(`${label} is no dimension of ${instanceName}`);
    if (kind === undefined || kind === "UNSPECIFIED")
      written.at("kind").error("must be GAUGE, COUNTER or DISTRIBUTION");
    metrics.set(instanceName, {
      name: written.name ?? instanceName,
      help: description,
      unit,
      kind: kind === undefined || kind === "UNSPECIFIED" ? "COUNTER" : kind,
      labelNames: [...new Set(labelNames ?? dimensions)].sort(),
      bounds: boundsOf(written.buckets) ?? defaultBounds,
    });
  }
  for (const { name, template } of bound)
    if (template === "metric" && !metrics.has(name))
      value.at("metrics").error(`has no metric for the instance ${name}`);
  return metrics;
}

/** Points of one record, so that a large metric is several. */
const POINTS_MAX = 500;
const CUMULATIVE = 2;

/** Since 1970, both. */
export interface Moment {
  /** Of the monotonic clock: the same each time, or every series seems to begin anew. */
  readonly originMs: number;
  readonly wallMs: number;
}

export function encodeMetric(
  { unit, ...definition }: OtlpMetric,
  series: MetricSeries,
  moment: Moment,
): Uint8Array[] {
  const samples = [...series.samples()];
  const records: Uint8Array[] = [];
  for (let start = 0; start < samples.length; start += POINTS_MAX) {
    const part = samples.slice(start, start + POINTS_MAX);
    const data = dataOf(definition, part, moment);
    const { name, help: description } = definition;
    records.push(toBinary(MetricSchema, create(MetricSchema, { name, description, unit, data })));
  }
  return records;
}

type Sample = ReturnType<MetricSeries["samples"]> extends Iterable<infer S> ? S : never;
type Data = NonNullable<MessageInitShape<typeof MetricSchema>["data"]>;
type Attributes = MessageInitShape<typeof KeyValueSchema>[];

function dataOf(definition: MetricDefinition, samples: readonly Sample[], moment: Moment): Data {
  const points = samples.map((sample) => {
    const startMs = moment.originMs + sample.sinceMs;
    return {
      attributes: attributesOf(definition, sample),
      startTimeUnixNano: nanosOf(startMs),
      // A wall clock that was set back does not end a series before it began.
      timeUnixNano: nanosOf(Math.max(startMs, moment.wallMs)),
      sample,
    };
  });
  const numbers = points.map(({ sample, ...point }) => ({ ...point, asDouble: sample.value }));
  switch (definition.kind) {
    case "GAUGE":
      return { case: "gauge", value: { dataPoints: numbers } };
    case "COUNTER": {
      const aggregation = { aggregationTemporality: CUMULATIVE, isMonotonic: true };
      return { case: "sum", value: { dataPoints: numbers, ...aggregation } };
    }
    case "DISTRIBUTION": {
      const dataPoints = points.map(({ sample: { value, counts }, ...point }) => ({
        ...point,
        count: BigInt(counts.reduce((sum, count) => sum + count, 0)),
        sum: value,
        bucketCounts: counts.map(BigInt),
        explicitBounds: [...definition.bounds],
      }));
      const value = { dataPoints, aggregationTemporality: CUMULATIVE };
      return { case: "histogram", value };
    }
    default:
      return definition.kind satisfies never;
  }
}

function attributesOf({ labelNames }: MetricDefinition, { values }: Sample): Attributes {
  if (values !== undefined) return textAttributes(labelNames.map((name, i) => [name, values[i]!]));
  return [{ key: "otel.metric.overflow", value: { value: { case: "boolValue", value: true } } }];
}

function nanosOf(ms: number): bigint {
  const seconds = Math.floor(ms / 1_000);
  return unixNanos({ seconds, nanos: Math.floor((ms - seconds * 1_000) * 1e6) });
}
