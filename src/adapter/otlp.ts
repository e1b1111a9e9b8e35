/**
 * otlp: spans and entries of logs to an OpenTelemetry collector, by OTLP over HTTP in its JSON form
 * (opentelemetry.io/docs/specs/otlp, 1.5), which every collector of the protocol reads.
 */
import type { Int64, Timestamp, TypedValue } from "../attribute/value.ts";
import { mapOf, message, toRecord } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { integer, number, text } from "../dialect/schema/scalar.ts";
import { type Environment, type RemoteHandler, remoteAdapter } from "../policy/adapter.ts";
import { positiveSpan } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type ReportResult, reported } from "../policy/result.ts";
import type { AnyInstance, Dimensions, Instance } from "../policy/template.ts";
import { plainNumber, valueText } from "../policy/value-text.ts";
import { BatchPost } from "./batch-post.ts";
import { isSampled } from "./trace-sample.ts";
import { httpUrl } from "./webhook.ts";

interface Parameters {
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly pushMs: number;
  readonly batchMax: number;
  /** Of traces. */
  readonly sampleProbability: number;
  readonly resource: Readonly<Record<string, string>>;
}

const fields = message({
  endpoint: httpUrl,
  headers: mapOf(text),
  timeout: positiveSpan,
  pushInterval: positiveSpan,
  batchSize: integer({ least: 1, most: 10_000 }),
  sampleProbability: number,
  resource: mapOf(text),
});

function read(place: Place): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  const { sampleProbability = 1 } = value;
  if (sampleProbability < 0 || sampleProbability > 1)
    value.at("sampleProbability").error(`must be between 0 and 1, not ${sampleProbability}`);
  return {
    endpoint: (value.endpoint ?? "http://localhost:4318").replace(/\/+$/, ""),
    headers: toRecord(value.headers),
    timeoutMs: value.timeout ?? 10_000,
    pushMs: value.pushInterval ?? 5_000,
    batchMax: value.batchSize ?? 512,
    sampleProbability,
    resource: { "service.name": "mesh", ...toRecord(value.resource) },
  };
}

/** Numbers of 64 bits are texts in proto-JSON. */
function anyValue(of: TypedValue): string {
  switch (of.type) {
    case "INT64":
      return `{"intValue":"${of.value}"}`;
    case "DOUBLE":
      return Number.isFinite(of.value)
        ? `{"doubleValue":${plainNumber(of.value)}}`
        : `{"stringValue":"${plainNumber(of.value)}"}`;
    case "BOOL":
      return `{"boolValue":${of.value}}`;
    case "STRING_MAP": {
      const entries = [...of.value.entries()].map(([key, value]) =>
        keyValue(key, { type: "STRING", value }),
      );
      return `{"kvlistValue":{"values":[${entries.join(",")}]}}`;
    }
    default:
      return `{"stringValue":${JSON.stringify(valueText(of))}}`;
  }
}

function keyValue(key: string, of: TypedValue): string {
  return `{"key":${JSON.stringify(key)},"value":${anyValue(of)}}`;
}

function attributes(of: Dimensions): string {
  return `[${Object.entries(of)
    .map(([key, value]) => keyValue(key, value))
    .join(",")}]`;
}

function unixNanos({ seconds, nanos }: Timestamp): string {
  return String(BigInt(seconds) * 1_000_000_000n + BigInt(nanos));
}

const severities: ReadonlyMap<string, number> = new Map([
  ["debug", 5],
  ["info", 9],
  ["informational", 9],
  ["warn", 13],
  ["warning", 13],
  ["error", 17],
  ["fatal", 21],
]);

export function logRecord(entry: Instance<"logentry">, now: Timestamp): string {
  const { severity = "", timestamp = now, variables = {} } = entry;
  const level = severities.get(severity.toLowerCase()) ?? 0;
  const head = `"timeUnixNano":"${unixNanos(timestamp)}","severityNumber":${level}`;
  const [severityText, eventName] = [severity, entry.name].map((name) => JSON.stringify(name));
  const body = `"severityText":${severityText},"eventName":${eventName}`;
  return `{${head},${body},"attributes":${attributes(variables)}}`;
}

/** Undefined: ids that are none. Those of 64 bits are filled up. */
export function spanRecord(span: Instance<"tracespan">): string | undefined {
  const traceId = (span.traceId ?? "").toLowerCase().padStart(32, "0");
  const spanId = (span.spanId ?? "").toLowerCase().padStart(16, "0");
  const parent = (span.parentSpanId ?? "").toLowerCase();
  if (!isId(traceId, 32) || !isId(spanId, 16)) return undefined;
  const { startTime, endTime, httpStatusCode, clientSpan = false } = span;
  if (startTime === undefined || endTime === undefined) return undefined;
  const kind = clientSpan ? 3 : 2;
  const ids = `"traceId":"${traceId}","spanId":"${spanId}"`;
  const above = isId(parent, 16) ? `,"parentSpanId":"${parent}"` : "";
  const what = `"name":${JSON.stringify(span.spanName ?? "")},"kind":${kind}`;
  const start = `"startTimeUnixNano":"${unixNanos(startTime)}"`;
  const end = `"endTimeUnixNano":"${unixNanos(endTime)}"`;
  const failed = Number(httpStatusCode ?? 0) >= (clientSpan ? 400 : 500);
  const status = failed ? ',"status":{"code":2}' : "";
  const of = attributes(spanAttributes(span));
  return `{${ids}${above},${what},${start},${end},"attributes":${of}${status}}`;
}

/** By the names that OpenTelemetry gives them. */
function spanAttributes(span: Instance<"tracespan">): Dimensions {
  const found: Record<string, TypedValue> = { ...span.spanTags };
  const put = (name: string, value: Int64 | undefined): void => {
    if (value !== undefined) found[name] = { type: "INT64", value };
  };
  put("http.response.status_code", span.httpStatusCode);
  put("http.request.body.size", span.requestSize);
  put("http.response.body.size", span.responseSize);
  const name = span.clientSpan === true ? span.destinationName : span.sourceName;
  const ip = span.clientSpan === true ? span.destinationIp : span.sourceIp;
  if (name !== undefined && name !== "") found["peer.service"] = { type: "STRING", value: name };
  if (ip !== undefined) found["network.peer.address"] = { type: "IP_ADDRESS", value: ip };
  return found;
}

function isId(text: string, length: number): boolean {
  return text.length === length && /^[0-9a-f]+$/.test(text) && !/^0+$/.test(text);
}

class Otlp implements RemoteHandler {
  readonly #parameters: Parameters;
  readonly #environment: Environment;
  readonly #logs: BatchPost;
  readonly #spans: BatchPost;

  constructor(parameters: Parameters, environment: Environment) {
    this.#parameters = parameters;
    this.#environment = environment;
    const { endpoint } = parameters;
    const resource = attributes(
      Object.fromEntries(
        Object.entries(parameters.resource).map(([key, value]) => [key, { type: "STRING", value }]),
      ),
    );
    const before = (outer: string) => `{"${outer}":[{"resource":{"attributes":${resource}},`;
    const wrap = (outer: string, scope: string, inner: string) => (records: readonly string[]) =>
      `${before(outer)}"${scope}":[{"scope":{"name":"mesh"},"${inner}":[${records.join(",")}]}]}]}`;
    this.#logs = this.#post(`${endpoint}/v1/logs`, wrap("resourceLogs", "scopeLogs", "logRecords"));
    this.#spans = this.#post(`${endpoint}/v1/traces`, wrap("resourceSpans", "scopeSpans", "spans"));
  }

  async report(instances: readonly AnyInstance[]): Promise<ReportResult> {
    let complaints: string[] | undefined;
    for (const instance of instances) {
      if (instance.template === "logentry") this.#logs.add(logRecord(instance, this.#now()));
      if (instance.template !== "tracespan") continue;
      if (!isSampled(instance.traceId ?? "", this.#parameters.sampleProbability)) continue;
      const record = spanRecord(instance);
      if (record !== undefined) this.#spans.add(record);
      else {
        complaints ??= [];
        complaints.push(`${instance.name}: a span without ids or times`);
      }
    }
    return complaints ?? reported;
  }

  close(): void {
    this.#logs.close();
    this.#spans.close();
  }

  #post(url: string, wrap: (records: readonly string[]) => string): BatchPost {
    const { clock, handler, log, metrics } = this.#environment;
    const { headers, timeoutMs, pushMs, batchMax } = this.#parameters;
    const what = "Records that did not reach the collector.";
    const lost = metrics.counter("mesh_otlp_lost_total", what, { handler });
    return new BatchPost({ url, headers, timeoutMs, pushMs, batchMax, wrap, clock, log, lost });
  }

  #now(): Timestamp {
    const nowMs = this.#environment.clock.wallMs();
    const seconds = Math.floor(nowMs / 1_000);
    return { seconds, nanos: Math.floor((nowMs - seconds * 1_000) * 1e6) };
  }
}

export const otlp = remoteAdapter<Parameters>({
  name: "otlp",
  templates: ["logentry", "tracespan"],
  read,
  open: (parameters, environment) => new Otlp(parameters, environment),
});
