/** statsd and dogstatsd: instances of metrics as lines in datagrams. Spec: mixer 6. */
import { type Random, systemRandom } from "../core/random.ts";
import { mapOf, message, type Reader, toRecord } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { integer, number, oneOf, text } from "../dialect/schema/scalar.ts";
import {
  type BoundInstance,
  type Environment,
  type RemoteHandler,
  remoteAdapter,
} from "../policy/adapter.ts";
import { positiveSpan } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import type { ReportResult } from "../policy/result.ts";
import type { AnyInstance, Dimensions, Instance } from "../policy/template.ts";
import { valueText } from "../policy/value-text.ts";
import { type HostPort, hostPort } from "./host-port.ts";
import { applyNameTemplate, type NameTemplate, parseNameTemplate } from "./name-template.ts";
import { numericValue } from "./numeric-value.ts";
import { UdpLines } from "./udp-lines.ts";

type Kind = "COUNTER" | "GAUGE" | "DISTRIBUTION";

interface Metric {
  readonly kind: Kind;
  /** Undefined: the instance's own name. */
  readonly name: NameTemplate | undefined;
  /** Of dogstatsd: `key:value`. */
  readonly tags: readonly string[];
}

interface Parameters {
  readonly dialect: "statsd" | "dogstatsd";
  readonly to: HostPort;
  readonly prefix: string;
  readonly flushMs: number;
  readonly bytesMax: number;
  /** Which part of all samples is sent, in (0, 1]. */
  readonly rate: number;
  readonly globalTags: readonly string[];
  /** By the full name of the instance. */
  readonly metrics: ReadonlyMap<string, Metric>;
}

/** What one datagram carries without being taken apart on most ways. */
const DATAGRAM_BYTES = 1_432;

const kind = oneOf("UNKNOWN", "COUNTER", "GAUGE", "DISTRIBUTION");

const rate: Reader<number> = (place) => {
  const value = number(place);
  if (value === undefined || (value > 0 && value <= 1)) return value;
  place.error(`must be more than 0 and at most 1, not ${value}`);
  return undefined;
};

const nameTemplate: Reader<NameTemplate> = (place) => {
  const parsed = parseNameTemplate(text(place) ?? "");
  if (typeof parsed !== "string") return parsed.length === 0 ? undefined : parsed;
  place.error(parsed);
  return undefined;
};

const statsdFields = message({
  address: hostPort,
  prefix: text,
  flushDuration: positiveSpan,
  flushBytes: integer({ least: 1, most: 65_000 }),
  samplingRate: rate,
  metrics: mapOf(message({ type: kind, nameTemplate })),
});

const dogstatsdFields = message({
  address: hostPort,
  prefix: text,
  bufferLength: integer({ least: 0 }),
  globalTags: mapOf(text),
  sampleRate: rate,
  metrics: mapOf(message({ type: kind, name: text, tags: mapOf(text) })),
});

function readStatsd(place: Place, bound: readonly BoundInstance[]): Parameters | undefined {
  const value = statsdFields(orEmpty(place));
  if (value === undefined) return undefined;
  const metrics = new Map<string, Metric>();
  for (const { key, value: written, at } of value.metrics ?? [])
    metrics.set(key, { kind: kindOf(written.type, at), name: written.nameTemplate, tags: [] });
  checkBound(value.at("metrics"), metrics, bound);
  const prefix = value.prefix ?? "";
  return {
    dialect: "statsd",
    to: value.address ?? { host: "localhost", port: 8_125 },
    prefix: prefix === "" ? "" : `${prefix}.`,
    flushMs: value.flushDuration ?? 300,
    bytesMax: value.flushBytes ?? 512,
    rate: value.samplingRate ?? 1,
    globalTags: [],
    metrics,
  };
}

function readDogstatsd(place: Place, bound: readonly BoundInstance[]): Parameters | undefined {
  const value = dogstatsdFields(orEmpty(place));
  if (value === undefined) return undefined;
  const metrics = new Map<string, Metric>();
  for (const { key, value: written, at } of value.metrics ?? []) {
    const { name = "" } = written;
    metrics.set(key, {
      kind: kindOf(written.type, at),
      name: name === "" ? undefined : [{ literal: name }],
      tags: tagsOf(toRecord(written.tags)),
    });
  }
  checkBound(value.at("metrics"), metrics, bound);
  return {
    dialect: "dogstatsd",
    to: value.address ?? { host: "localhost", port: 8_125 },
    prefix: value.prefix ?? "istio.",
    flushMs: 300,
    bytesMax: DATAGRAM_BYTES,
    rate: value.sampleRate ?? 1,
    globalTags: tagsOf(toRecord(value.globalTags)),
    metrics,
  };
}

function kindOf(written: "UNKNOWN" | Kind | undefined, at: Place): Kind {
  if (written !== undefined && written !== "UNKNOWN") return written;
  at.error("has a type that is not COUNTER, GAUGE or DISTRIBUTION");
  return "COUNTER";
}

function checkBound(
  at: Place,
  metrics: ReadonlyMap<string, Metric>,
  bound: readonly BoundInstance[],
): void {
  for (const { name, template } of bound)
    if (template === "metric" && !metrics.has(name))
      at.error(`has no metric for the instance ${name}`);
}

/** Sorted, and without what would end a tag or the line. */
function tagsOf(tags: Readonly<Record<string, string>>): string[] {
  return Object.keys(tags)
    .sort()
    .map((name) => `${name}:${tags[name]!}`.replace(/[,|\n\r]/g, "_"));
}

/** A line, or what is wrong with the instance. Exported for its tests. */
export function statsdLine(
  parameters: Pick<Parameters, "dialect" | "prefix" | "rate" | "globalTags" | "metrics">,
  instance: Instance<"metric">,
): { readonly line: string } | string {
  const metric = parameters.metrics.get(instance.name);
  if (metric === undefined) return `no metric is defined for ${instance.name}`;
  const { dimensions = {}, value } = instance;
  const number = numericValue(value);
  if (number === undefined) return `${instance.name}: its value is no number`;
  const isTime = value?.type === "DURATION";
  if (isTime && metric.kind !== "DISTRIBUTION")
    return `${instance.name}: a duration is for a DISTRIBUTION`;
  const own =
    metric.name === undefined ? instance.name : applyNameTemplate(metric.name, dimensions);
  const name = `${parameters.prefix}${own}`.replace(/[:|@#\s]/g, "_");
  const sampled = parameters.rate < 1 ? `|@${parameters.rate}` : "";
  const amount = isTime ? number * 1_000 : number;
  const line = `${name}:${amountText(parameters.dialect, metric.kind, amount)}`;
  const type = typeOf(parameters.dialect, metric.kind, isTime);
  const tags = dialectTags(parameters, metric, dimensions);
  return { line: `${line}|${type}${sampled}${tags}` };
}

function typeOf(dialect: Parameters["dialect"], kind: Kind, isTime: boolean): string {
  if (kind === "COUNTER") return "c";
  if (kind === "GAUGE") return "g";
  return isTime || dialect === "statsd" ? "ms" : "h";
}

/** dogstatsd writes six decimals of everything that is not counted. */
function amountText(dialect: Parameters["dialect"], kind: Kind, amount: number): string {
  if (dialect === "statsd") return String(Math.round(amount * 1e6) / 1e6);
  return kind === "COUNTER" ? String(Math.trunc(amount)) : amount.toFixed(6);
}

function dialectTags(
  { dialect, globalTags }: Pick<Parameters, "dialect" | "globalTags">,
  { tags }: Metric,
  dimensions: Dimensions,
): string {
  if (dialect === "statsd") return "";
  const texts = Object.fromEntries(
    Object.keys(dimensions).map((name) => [name, valueText(dimensions[name])]),
  );
  const all = [...globalTags, ...tags, ...tagsOf(texts)];
  return all.length === 0 ? "" : `|#${all.join(",")}`;
}

class Statsd implements RemoteHandler {
  readonly #parameters: Parameters;
  readonly #lines: UdpLines;
  readonly #random: Random;

  constructor(parameters: Parameters, { clock, handler, metrics }: Environment) {
    this.#parameters = parameters;
    this.#random = systemRandom;
    const what = "Samples that could not be sent.";
    const { bytesMax, flushMs, to } = parameters;
    const lost = metrics.counter("mesh_statsd_lost_total", what, { handler });
    this.#lines = new UdpLines({ to, bytesMax, flushMs, clock, lost });
  }

  async report(instances: readonly AnyInstance[]): Promise<ReportResult> {
    const complaints: string[] = [];
    for (const instance of instances) {
      if (instance.template !== "metric") continue;
      const made = statsdLine(this.#parameters, instance);
      if (typeof made === "string") complaints.push(made);
      else if (this.#parameters.rate === 1 || this.#random() < this.#parameters.rate)
        this.#lines.write(made.line);
    }
    return complaints;
  }

  close(): void {
    this.#lines.close();
  }
}

export const statsd = remoteAdapter<Parameters>({
  name: "statsd",
  templates: ["metric"],
  read: readStatsd,
  open: (parameters, environment) => new Statsd(parameters, environment),
});

export const dogstatsd = remoteAdapter<Parameters>({
  name: "dogstatsd",
  templates: ["metric"],
  read: readDogstatsd,
  open: (parameters, environment) => new Statsd(parameters, environment),
});
