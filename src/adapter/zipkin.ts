/** zipkin: spans to a Zipkin server, JSON of its API v2, under the ids that requests carry. */

import { formatIpAddress } from "../attribute/ip-address.ts";
import type { Timestamp } from "../attribute/value.ts";
import { message } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { number } from "../dialect/schema/scalar.ts";
import { type Environment, type RemoteHandler, remoteAdapter } from "../policy/adapter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type ReportResult, reported } from "../policy/result.ts";
import type { AnyInstance, Instance } from "../policy/template.ts";
import { valueText } from "../policy/value-text.ts";
import { BatchPost } from "./batch-post.ts";
import { isSampled } from "./trace-sample.ts";
import { httpUrl } from "./webhook.ts";

interface Parameters {
  readonly url: string;
  readonly sampleProbability: number;
}

const fields = message({ url: httpUrl, sampleProbability: number });

function read(place: Place): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  const { sampleProbability = 0 } = value;
  if (!value.has("url")) value.at("url").error("must be given");
  if (sampleProbability < 0 || sampleProbability > 1)
    value.at("sampleProbability").error(`must be between 0 and 1, not ${sampleProbability}`);
  if (sampleProbability === 0) value.at("sampleProbability").warn("is 0: no span is sent");
  return { url: value.url ?? "", sampleProbability };
}

/** Undefined: without ids or times. */
export function zipkinSpan(span: Instance<"tracespan">): string | undefined {
  const { traceId = "", spanId = "", parentSpanId = "", startTime, endTime } = span;
  const ids = /^([0-9a-f]{16}|[0-9a-f]{32})$/i.test(traceId) && /^[0-9a-f]{16}$/i.test(spanId);
  if (!ids || startTime === undefined || endTime === undefined) return undefined;
  const tags: Record<string, string> = {};
  for (const [name, value] of Object.entries(span.spanTags ?? {})) tags[name] = valueText(value);
  if (span.httpStatusCode !== undefined) tags["http.status_code"] = String(span.httpStatusCode);
  const source = endpoint(span.sourceName, span.sourceIp);
  const destination = endpoint(span.destinationName, span.destinationIp);
  const client = span.clientSpan === true;
  const started = micros(startTime);
  return JSON.stringify({
    traceId: traceId.toLowerCase(),
    id: spanId.toLowerCase(),
    ...(/^[0-9a-f]{16}$/i.test(parentSpanId) && { parentId: parentSpanId.toLowerCase() }),
    kind: client ? "CLIENT" : "SERVER",
    name: span.spanName ?? "",
    timestamp: started,
    duration: Math.max(1, micros(endTime) - started),
    localEndpoint: client ? source : destination,
    remoteEndpoint: client ? destination : source,
    // Both sides of a call use one id, as B3 allows, unless the client's is rewritten.
    shared: !client && span.rewriteClientSpanId !== true,
    tags,
  });
}

function endpoint(serviceName: string | undefined, ip: Uint8Array | undefined) {
  const address = ip === undefined || ip.length === 0 ? "" : formatIpAddress(ip);
  return {
    ...(serviceName !== undefined && { serviceName }),
    ...(address !== "" && { [address.includes(":") ? "ipv6" : "ipv4"]: address }),
  };
}

function micros({ seconds, nanos }: Timestamp): number {
  return seconds * 1e6 + Math.floor(nanos / 1_000);
}

class Zipkin implements RemoteHandler {
  readonly #probability: number;
  readonly #spans: BatchPost<string>;

  constructor({ url, sampleProbability }: Parameters, environment: Environment) {
    this.#probability = sampleProbability;
    const { clock, handler, log, metrics } = environment;
    const what = "Spans that did not reach Zipkin.";
    const lost = metrics.counter("mesh_zipkin_lost_total", what, { handler });
    const limits = { headers: {}, timeoutMs: 5_000, pushMs: 1_000, batchMax: 500 };
    const wrap = (spans: readonly string[]) => `[${spans.join(",")}]`;
    const contentType = "application/json";
    this.#spans = new BatchPost({ url, ...limits, contentType, wrap, clock, log, lost });
  }

  async report(instances: readonly AnyInstance[]): Promise<ReportResult> {
    let complaints: string[] | undefined;
    for (const instance of instances) {
      if (instance.template !== "tracespan") continue;
      if (!isSampled(instance.traceId ?? "", this.#probability)) continue;
      const span = zipkinSpan(instance);
      if (span !== undefined) this.#spans.add(span);
      else {
        complaints ??= [];
        complaints.push(`${instance.name}: a span without ids or times`);
      }
    }
    return complaints ?? reported;
  }

  close(): void {
    this.#spans.close();
  }
}

export const zipkin = remoteAdapter<Parameters>({
  name: "zipkin",
  templates: ["tracespan"],
  read,
  open: (parameters, environment) => new Zipkin(parameters, environment),
});
