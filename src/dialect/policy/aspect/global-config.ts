/** Adapters and descriptors of a mesh, as Istio 0.1 wrote them. */
import { valueTypes } from "../../../attribute/value.ts";
import { aspectKinds } from "../../../model/aspect-config.ts";
import type {
  AspectAdapter,
  Descriptor,
  GlobalConfig,
  MetricDescriptor,
} from "../../../model/global-config.ts";
import {
  list,
  type Message,
  mapOf,
  message,
  type Reader,
  type ValueOf,
} from "../../schema/message.ts";
import type { Place } from "../../schema/place.ts";
import { duration, flag, integer, number, oneOf, text } from "../../schema/scalar.ts";
import { attributeMap, attributesIn } from "../attribute-manifest.ts";
import { readParameters } from "../parameters.ts";

const anything: Reader<Place> = (place) => place;
const valueType = oneOf("VALUE_TYPE_UNSPECIFIED", ...valueTypes);

const adapter = message({ name: text, kind: oneOf(...aspectKinds), impl: text, params: anything });
const manifest = message({ name: text, revision: text, attributes: attributeMap });
const described = {
  name: text,
  displayName: text,
  description: text,
  labels: mapOf(valueType),
};
const finite = integer({ least: 1 });
const positive = above(0);
const buckets = message({
  linearBuckets: message({ numFiniteBuckets: finite, width: positive, offset: number }),
  exponentialBuckets: message({
    numFiniteBuckets: finite,
    growthFactor: above(1),
    scale: positive,
  }),
  explicitBuckets: message({ bounds: rising }),
});
const metric = message({
  ...described,
  kind: oneOf("METRIC_KIND_UNSPECIFIED", "GAUGE", "COUNTER", "DISTRIBUTION"),
  value: valueType,
  buckets: (place) => (buckets(place) === undefined ? undefined : readParameters(place)),
});
const log = message({
  ...described,
  payloadFormat: oneOf("PAYLOAD_FORMAT_UNSPECIFIED", "TEXT", "JSON"),
  logTemplate,
});
const quota = message({
  ...described,
  rateLimit: flag,
  maxAmount: integer({ least: 0, most: Number.MAX_SAFE_INTEGER }),
  expiration: duration(),
});

/** Well formed, and without effect. */
const namedLabels: Reader<never> = (place) => {
  for (const one of list(message(described))(place) ?? []) toDescriptor(one);
  place.warn("has no effect");
  return undefined;
};

const fields = {
  adapters: list(adapter),
  manifests: list(manifest),
  metrics: list(metric),
  logs: list(log),
  quotas: list(quota),
  monitoredResources: namedLabels,
  principals: namedLabels,
};
/** The subject of what is the whole mesh's says nothing. */
const written = message({ ...fields, subject: text, revision: text });

/** Names that make a document without a kind one of these. */
export const globalConfigFields: ReadonlySet<string> = new Set(Object.keys(fields));

/** Undefined after the problems have been reported. */
export function readGlobalConfig(place: Place): GlobalConfig | undefined {
  const read = written(place);
  if (read === undefined) return undefined;
  return {
    adapters: (read.adapters ?? []).flatMap((one) => toAdapter(one) ?? []),
    manifests: (read.manifests ?? []).map(({ name = "", revision = "", attributes }) => ({
      name,
      revision,
      attributes: attributesIn(attributes),
    })),
    metrics: (read.metrics ?? []).flatMap((one) => toMetric(one) ?? []),
    logs: (read.logs ?? []).map((one) => {
      if (!one.has("logTemplate")) one.at("logTemplate").error("must be given");
      return toDescriptor(one);
    }),
    quotas: (read.quotas ?? []).map(toDescriptor),
  };
}

function toAdapter(one: ValueOf<typeof adapter>): AspectAdapter | undefined {
  const { name = "default", kind, impl = "" } = one;
  if (!one.has("impl")) one.at().error("must have an impl");
  const parameters = readParameters(one.params ?? one.at("params"));
  return parameters && { name, kind, impl, parameters, at: one.at().position };
}

type Described = Message<typeof described>;

function toDescriptor(one: Described): Descriptor {
  const { name = "" } = one;
  if (name === "") one.at("name").error("must not be empty");
  const labels = (one.labels ?? []).flatMap(({ key, value: type, at }) => {
    if (type !== "VALUE_TYPE_UNSPECIFIED") return [[key, type] as const];
    at.error("must be given");
    return [];
  });
  return { name, labels: Object.fromEntries(labels), at: one.at().position };
}

function toMetric(one: ValueOf<typeof metric>): MetricDescriptor | undefined {
  const { kind = "METRIC_KIND_UNSPECIFIED", description = "", value } = one;
  const none = { json: "{}", positions: {} };
  const descriptor = toDescriptor(one);
  if (!one.has("value") || value === "VALUE_TYPE_UNSPECIFIED")
    one.at("value").error("must be given");
  if (kind === "METRIC_KIND_UNSPECIFIED") {
    one.at("kind").error("must be GAUGE, COUNTER or DISTRIBUTION");
    return undefined;
  }
  return { ...descriptor, description, kind, buckets: one.buckets ?? none };
}

function above(least: number): Reader<number> {
  return (place) => {
    const value = number(place);
    if (value === undefined || value > least) return value;
    place.error(`must be above ${least}, not ${value}`);
    return undefined;
  };
}

function rising(place: Place): readonly number[] | undefined {
  const bounds = list(number)(place);
  if (bounds?.some((bound, i) => i > 0 && bound <= bounds[i - 1]!)) place.error("must rise");
  return bounds;
}

function logTemplate(place: Place): undefined {
  const template = text(place);
  if (template === undefined) return;
  const isBroken = template.replace(/\{\{[^{}]*\}\}/g, "").includes("{{");
  if (template === "") place.error("must not be empty");
  else if (isBroken) place.error("has a {{ without its }}");
  else place.warn("has no effect: entries are written as fields");
}
