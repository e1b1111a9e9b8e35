/**
 * otlp: spans, entries of logs and metrics to an OpenTelemetry collector, by OTLP over HTTP in
 * protobuf (opentelemetry.io/docs/specs/otlp, 1.5).
 *
 *   logentry ─▶ record ─┐                          ┌─▶ /v1/logs
 *   tracespan ─▶ span ──┼─▶ waits, bounded ─▶ post ┼─▶ /v1/traces
 *   metric ─▶ series ───┘  every push interval     └─▶ /v1/metrics
 */
import type { Timestamp } from "../attribute/value.ts";
import { list, mapOf, message, toRecord } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { integer, number, oneOf, text } from "../dialect/schema/scalar.ts";
import {
  type BoundInstance,
  type Environment,
  type RemoteHandler,
  remoteAdapter,
} from "../policy/adapter.ts";
import { positiveSpan, span } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type ReportResult, reported } from "../policy/result.ts";
import type { AnyInstance, Instance } from "../policy/template.ts";
import type { Counter } from "../telemetry/metrics.ts";
import { BatchPost } from "./batch-post.ts";
import { LabelTexts, recordMetric } from "./metric-record.ts";
import { MetricSeries, SeriesBudget } from "./metric-series.ts";
import { encodeMetric, metricReader, type OtlpMetric, readMetrics } from "./otlp-metric.ts";
import { encodeLog, encodeResource, encodeSpan, exportRequest, refusedBy } from "./otlp-record.ts";
import { isSampled } from "./trace-sample.ts";
import { httpUrl } from "./webhook.ts";

interface Parameters {
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly pushMs: number;
  readonly batchMax: number;
  readonly isCompressed: boolean;
  /** Of traces. */
  readonly sampleProbability: number;
  readonly resource: Readonly<Record<string, string>>;
  readonly metrics: ReadonlyMap<string, OtlpMetric>;
  /** 0: series stay. */
  readonly expiryMs: number;
}

/** Of all metrics together. */
const SERIES_MAX = 20_000;
/** Metrics are collected all at once, whatever the size of a batch. */
const METRICS_MAX = 10_000;
/** Of a post that a collector cannot take now: some 15 s. */
const RETRIES_MAX = 4;

const fields = message({
  endpoint: httpUrl,
  headers: mapOf(text),
  timeout: positiveSpan,
  compression: oneOf("NONE", "GZIP"),
  pushInterval: positiveSpan,
  batchSize: integer({ least: 1, most: 10_000 }),
  sampleProbability: number,
  resource: mapOf(text),
  metrics: list(metricReader),
  metricsExpiry: span(),
});

function read(place: Place, bound: readonly BoundInstance[]): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  const { sampleProbability = 1 } = value;
  if (sampleProbability < 0 || sampleProbability > 1)
    value.at("sampleProbability").error(`must be between 0 and 1, not ${sampleProbability}`);
  return {
    endpoint: (value.endpoint ?? "http://localhost:4318").replace(/\/+$/, ""),
    headers: toRecord(value.headers),
    timeoutMs: value.timeout ?? 10_000,
    isCompressed: value.compression === "GZIP",
    pushMs: value.pushInterval ?? 5_000,
    batchMax: value.batchSize ?? 512,
    sampleProbability,
    resource: { "service.name": "mesh", ...toRecord(value.resource) },
    metrics: readMetrics(value, bound),
    expiryMs: value.metricsExpiry ?? 3_600_000,
  };
}

class Otlp implements RemoteHandler {
  readonly #parameters: Parameters;
  readonly #environment: Environment;
  readonly #logs: BatchPost<Uint8Array>;
  readonly #spans: BatchPost<Uint8Array>;
  readonly #metrics: BatchPost<Uint8Array>;
  readonly #series: ReadonlyMap<string, readonly [OtlpMetric, MetricSeries]>;
  readonly #overflowed: Counter;
  readonly #originMs: number;
  readonly #labelTexts = new LabelTexts();
  #cancelCollection: (() => void) | undefined;

  constructor(parameters: Parameters, environment: Environment) {
    this.#parameters = parameters;
    this.#environment = environment;
    const { handler, metrics, clock } = environment;
    this.#originMs = clock.wallMs() - clock.nowMs();
    const budget = new SeriesBudget(SERIES_MAX);
    this.#series = new Map(
      Array.from(parameters.metrics, ([name, metric]) => [
        name,
        [metric, new MetricSeries(metric, budget)] as const,
      ]),
    );
    const lost = "Records that did not reach the collector.";
    const counter = metrics.counter("mesh_otlp_lost_total", lost, { handler });
    this.#overflowed = metrics.counter(
      "mesh_otlp_overflow_total",
      "Samples counted as otel.metric.overflow, because there were too many series.",
      { handler },
    );
    this.#logs = this.#post("/v1/logs", counter);
    this.#spans = this.#post("/v1/traces", counter);
    this.#metrics = this.#post("/v1/metrics", counter, METRICS_MAX);
  }

  async report(instances: readonly AnyInstance[]): Promise<ReportResult> {
    let complaints: string[] | undefined;
    for (const instance of instances) {
      const complaint = this.#add(instance);
      if (complaint === undefined) continue;
      complaints ??= [];
      complaints.push(`${instance.name}: ${complaint}`);
    }
    return complaints ?? reported;
  }

  close(): void {
    if (this.#cancelCollection !== undefined) this.#encode();
    this.#cancelCollection?.();
    this.#cancelCollection = undefined;
    for (const post of [this.#logs, this.#spans, this.#metrics]) post.close();
  }

  #add(instance: AnyInstance): string | undefined {
    if (instance.template === "metric") return this.#record(instance);
    if (instance.template === "logentry") this.#logs.add(encodeLog(instance, this.#now()));
    if (instance.template !== "tracespan") return undefined;
    if (!isSampled(instance.traceId ?? "", this.#parameters.sampleProbability)) return undefined;
    const record = encodeSpan(instance);
    if (record === undefined) return "a span without ids or times";
    this.#spans.add(record);
    return undefined;
  }

  #record(instance: Instance<"metric">): string | undefined {
    const { clock } = this.#environment;
    const [, series] = this.#series.get(instance.name) ?? [];
    if (series === undefined) return "no metric is defined for it";
    const recorded = recordMetric(series, instance, clock.nowMs(), this.#labelTexts);
    if (recorded === false) this.#overflowed.increment();
    this.#cancelCollection ??= clock.after(this.#parameters.pushMs, () => this.#collect());
    return typeof recorded === "string" ? recorded : undefined;
  }

  /** Sums go on growing while the former ones are under way: nothing is lost by leaving one out. */
  #collect(): void {
    const { pushMs } = this.#parameters;
    this.#cancelCollection = this.#environment.clock.after(pushMs, () => this.#collect());
    if (this.#metrics.idle) this.#encode();
    else this.#expire();
  }

  #expire(): void {
    const { expiryMs } = this.#parameters;
    if (expiryMs === 0) return;
    const beforeMs = this.#environment.clock.nowMs() - expiryMs;
    for (const [, series] of this.#series.values()) series.expire(beforeMs);
  }

  #encode(): void {
    const moment = { originMs: this.#originMs, wallMs: this.#environment.clock.wallMs() };
    this.#expire();
    for (const [metric, series] of this.#series.values())
      for (const record of encodeMetric(metric, series, moment)) this.#metrics.add(record);
    this.#metrics.flush();
  }

  #post(path: string, lost: Counter, batchMax = this.#parameters.batchMax) {
    const { clock, log } = this.#environment;
    const { endpoint, headers, timeoutMs, pushMs, isCompressed } = this.#parameters;
    const resource = encodeResource(this.#parameters.resource);
    return new BatchPost<Uint8Array>({
      url: `${endpoint}${path}`,
      contentType: "application/x-protobuf",
      wrap: (records) => exportRequest(resource, records),
      refused: refusedBy,
      ...{ headers, timeoutMs, pushMs, batchMax, isCompressed, clock, log, lost },
      retriesMax: RETRIES_MAX,
    });
  }

  #now(): Timestamp {
    const nowMs = this.#environment.clock.wallMs();
    const seconds = Math.floor(nowMs / 1_000);
    return { seconds, nanos: Math.floor((nowMs - seconds * 1_000) * 1e6) };
  }
}

export const otlp = remoteAdapter<Parameters>({
  name: "otlp",
  templates: ["logentry", "tracespan", "metric"],
  read,
  open: (parameters, environment) => new Otlp(parameters, environment),
});
