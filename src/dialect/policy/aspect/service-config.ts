/** Rules of a subject, as Istio 0.1 wrote them: a document with `subject` and `rules`. */

import { isMap } from "yaml";
import {
  type Aspect,
  type AspectRule,
  aspectKinds,
  type LogAspect,
  type ServiceConfig,
} from "../../../model/aspect-config.ts";
import {
  list,
  type Message,
  mapOf,
  message,
  type Reader,
  toRecord,
  type ValueOf,
} from "../../schema/message.ts";
import type { Place } from "../../schema/place.ts";
import { duration, flag, integer, oneOf, text } from "../../schema/scalar.ts";
import { expression } from "../expression-text.ts";

const anything: Reader<Place> = (place) => place;
const expressions = mapOf(expression);

const written = message({
  kind: oneOf(...aspectKinds),
  adapter: text,
  params: anything,
});

const rule: Reader<AspectRule> = (place) => {
  const read = ruleFields(place);
  if (read === undefined) return undefined;
  const { selector, aspects = [], rules = [] } = read;
  return { selector: selector?.source.trim() === "" ? undefined : selector, aspects, rules };
};

const aspect: Reader<Aspect> = (place) => {
  const read = written(place);
  if (read === undefined) return undefined;
  if (!read.has("kind")) read.at().error("must have a kind");
  if (read.kind === undefined) return undefined;
  const { kind, adapter = "default", params } = read;
  const common = { adapter: adapter === "" ? "default" : adapter, at: read.at().position };
  const at = params ?? read.at("params");
  return readParams(kind, at, common);
};

const ruleFields = message({
  selector: expression,
  aspects: list(aspect),
  rules: list((place) => rule(place)),
});

const fields = message({
  /** Ours: Istio had it beside the document. */
  scope: text,
  subject: text,
  revision: text,
  rules: list(rule),
});

/** Names that make a document without a kind one of these. */
export const serviceConfigFields = ["subject", "rules"] as const;

/** Undefined after the problems have been reported. */
export function readServiceConfig(place: Place): ServiceConfig | undefined {
  const read = fields(place);
  if (read === undefined) return undefined;
  if (!read.has("subject")) place.error("must have a subject: global, or the end of a host name");
  const { scope = "global", subject = "", rules = [] } = read;
  const isWithin = scope === "global" || subject === scope || subject.endsWith(`.${scope}`);
  if (read.subject !== undefined && !isWithin)
    read.at("subject").error(`is not within the scope ${scope}`);
  return { scope, subject, rules };
}

const label = { descriptorName: text, labels: expressions };

const lists = message({ blacklist: flag, checkExpression: expression });
const quotas = message({
  quotas: list(
    message({
      ...label,
      maxAmount: integer({ least: 0, most: Number.MAX_SAFE_INTEGER }),
      expiration: duration(),
    }),
  ),
});
const metrics = message({ metrics: list(message({ ...label, value: expression })) });
const log = message({
  ...label,
  severity: expression,
  timestamp: expression,
  timeFormat: text,
  templateExpressions: expressions,
});
const accessLogs = message({ logName: text, log });
const applicationLogs = message({ logName: text, logs: list(log) });
const attributes = message({ inputExpressions: expressions, attributeBindings: mapOf(text) });
const nothing = message({});

type Common = Pick<Aspect, "adapter" | "at">;

/** An absent block has no fields. */
function read<T>(reader: Reader<T>, place: Place): T | undefined {
  if (isMap(place.node)) return reader(place);
  if (!place.empty) place.error("must be a map of fields");
  return undefined;
}

function readParams(kind: Aspect["kind"], place: Place, common: Common): Aspect | undefined {
  switch (kind) {
    case "denials":
      read(nothing, place);
      return { ...common, kind };
    case "lists": {
      const params = read(lists, place);
      const { blacklist = false, checkExpression: check } = params ?? {};
      if (check !== undefined) return { ...common, kind, blacklist, check };
      if (params?.has("checkExpression") !== true) place.error("must have a check_expression");
      return undefined;
    }
    case "quotas":
      return { ...common, kind, quotas: (read(quotas, place)?.quotas ?? []).map(toQuota) };
    case "metrics":
      return {
        ...common,
        kind,
        metrics: (read(metrics, place)?.metrics ?? []).flatMap((one) => toMetric(one) ?? []),
      };
    case "access-logs": {
      const { logName = "access_log", log: one } = read(accessLogs, place) ?? {};
      return { ...common, kind, logName, logs: one === undefined ? [] : [toLog(one)] };
    }
    case "application-logs": {
      const { logName = "istio_log", logs = [] } = read(applicationLogs, place) ?? {};
      return { ...common, kind, logName, logs: logs.map(toLog) };
    }
    case "attributes": {
      const params = read(attributes, place);
      const { inputExpressions, attributeBindings } = params ?? {};
      const inputs = toRecord(inputExpressions);
      return { ...common, kind, inputs, bindings: toRecord(attributeBindings) };
    }
    default:
      return kind satisfies never;
  }
}

function described(one: Message<typeof label>) {
  if (!one.has("descriptorName")) one.at().error("must have a descriptor_name");
  return {
    descriptor: one.descriptorName ?? "",
    labels: toRecord(one.labels),
    at: one.at().position,
  };
}

type QuotaMessage = NonNullable<ValueOf<typeof quotas>["quotas"]>[number];

function toQuota(one: QuotaMessage) {
  const { maxAmount = 0, expiration = 0 } = one;
  return { ...described(one), maxAmount, expirationMs: expiration };
}

type MetricMessage = NonNullable<ValueOf<typeof metrics>["metrics"]>[number];

function toMetric(one: MetricMessage) {
  const common = described(one);
  if (one.value !== undefined) return { ...common, value: one.value };
  if (!one.has("value")) one.at().error("must have a value");
  return undefined;
}

function toLog(one: ValueOf<typeof log>): LogAspect {
  const { severity, timestamp, templateExpressions } = one;
  return {
    ...described(one),
    ...(severity && { severity }),
    ...(timestamp && { timestamp }),
    templateExpressions: toRecord(templateExpressions),
  };
}
