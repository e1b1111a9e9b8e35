/** `when` of an AuthorizationPolicy: which keys there are, and what may be compared with them. */
import type { AccessCondition } from "../../model/authorization-policy.ts";
import { checkSubnet } from "../../model/validate-address.ts";
import type { Complaint } from "../../model/validate-name.ts";
import { list, message, type Reader } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { text } from "../schema/scalar.ts";

const written = message({ key: text, values: list(text), notValues: list(text) });

const checks: Readonly<Record<string, (value: string) => Complaint>> = {
  "source.ip": checkSubnet,
  "remote.ip": checkSubnet,
  "destination.ip": checkSubnet,
  "destination.port": checkPortText,
};

const keys = [
  ...Object.keys(checks),
  "source.namespace",
  "source.serviceAccount",
  "source.principal",
  "source.trustDomain",
  "request.auth.principal",
  "request.auth.audiences",
  "request.auth.presenter",
  "connection.sni",
];

/** "request.headers[x]"; claims may nest. */
const bracketed = [
  /^request\.headers\[[^[\]]+\]$/,
  /^request\.auth\.claims(\[[^[\]]+\])+$/,
  /^experimental\.envoy\.filters\.[^[\]]+\[[^[\]]+\]$/,
];

/** Keys of the first form of these rules, and what says it now. */
const replaced: readonly (readonly [prefix: string, now: string])[] = [
  ["destination.labels", "select workloads by the selector"],
  ["destination.namespace", "the object's own namespace says it"],
  ["destination.name", "select workloads by the selector"],
  ["destination.user", "select workloads by the selector"],
];

/** Undefined after the problems have been reported. */
export const accessCondition: Reader<AccessCondition> = (place) => {
  const condition = written(place);
  if (condition === undefined) return undefined;
  const { key = "", values = [], notValues = [] } = condition;
  if (!condition.has("key")) condition.at().error("must have a key");
  else if (condition.key !== undefined) judgeKey(key, condition.at("key"));
  const isUnread = condition.has("values") && condition.values === undefined;
  if (values.length + notValues.length === 0 && !isUnread)
    condition.at().error("must have values or notValues");
  const check = Object.hasOwn(checks, key) ? checks[key] : undefined;
  for (const field of ["values", "notValues"] as const)
    judgeTexts(condition[field], condition.at(field), check);
  return { key, values, notValues };
};

export function isConditionKey(key: string): boolean {
  return keys.includes(key) || bracketed.some((form) => form.test(key));
}

function judgeKey(key: string, at: Place): void {
  if (isConditionKey(key)) {
    if (key.startsWith("experimental.")) at.warn("matches nothing: it is of another proxy");
    return;
  }
  if (key === "") return at.error("must not be empty");
  const [, now] = replaced.find(([prefix]) => key === prefix || key.startsWith(`${prefix}[`)) ?? [];
  if (now !== undefined) return at.error(`"${key}" is a key of the first releases only`, now);
  const open = ["request.headers", "request.auth.claims"].find((one) => key.startsWith(one));
  if (open !== undefined) return at.error(`"${key}" must name one in brackets`, `${open}[name]`);
  at.error(`there is no key "${key}"`, `keys are ${keys.join(", ")}, request.headers[…]`);
}

/** A list that is there has texts, none empty; `check`: each is that. */
export function judgeTexts(
  values: readonly string[] | undefined,
  at: Place,
  check?: (value: string) => Complaint,
): void {
  if (values === undefined) return;
  values.forEach((value, i) => {
    if (value === "") at.error(`[${i}] must not be empty`);
    else {
      const complaint = check?.(value);
      if (complaint !== undefined) at.error(`"${value}" ${complaint}`);
    }
  });
}

/** Also 0, which no connection has. */
export function checkPortText(value: string): Complaint {
  return /^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? undefined : "is not a port";
}
