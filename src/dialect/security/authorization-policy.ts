/** AuthorizationPolicy of security.istio.io: who may do what. Spec table: manager 7. */
import {
  type AccessCondition,
  type AccessOperation,
  type AccessRule,
  type AccessSource,
  type AuthorizationPolicy,
  dryRunOf,
  hasDryRun,
  operationFields,
  sourceFields,
} from "../../model/authorization-policy.ts";
import { checkSubnet } from "../../model/validate-address.ts";
import type { Complaint } from "../../model/validate-name.ts";
import { list, type Message, message, type Reader, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { oneOf, text } from "../schema/scalar.ts";
import { accessCondition, checkPortText, judgeTexts } from "./access-condition.ts";
import { checkPathPattern } from "./path-template.ts";
import { isWiderOnTcp } from "./tcp-width.ts";
import { type Holder, readTarget, targetFields } from "./workload-target.ts";

type Texts = Reader<readonly string[]>;
type TextFields<K extends string> = { readonly [F in K]: Texts };
type Checks<K extends string> = { readonly [F in K]?: (value: string) => Complaint };

function textFields<const K extends string>(fields: readonly K[]): TextFields<K> {
  // The names are the keys.
  return Object.fromEntries(fields.map((field) => [field, list(text)])) as TextFields<K>;
}

type SourceField = (typeof sourceFields)[number];
type OperationField = (typeof operationFields)[number];

const source = message(textFields(sourceFields));
const operation = message(textFields(operationFields));

const written = message({
  ...targetFields,
  action: oneOf("ALLOW", "DENY", "AUDIT", "CUSTOM"),
  provider: message({ name: text }),
  rules: list(
    message({
      from: list(message({ source })),
      to: list(message({ operation })),
      when: list(accessCondition),
    }),
  ),
});

type Written = NonNullable<ValueOf<typeof written>>;
type WrittenRule = NonNullable<Written["rules"]>[number];

const sourceChecks: Checks<SourceField> = {
  ipBlocks: checkSubnet,
  notIpBlocks: checkSubnet,
  remoteIpBlocks: checkSubnet,
  notRemoteIpBlocks: checkSubnet,
  serviceAccounts: checkAccount,
  notServiceAccounts: checkAccount,
};

const operationChecks: Checks<OperationField> = {
  ports: checkPortText,
  notPorts: checkPortText,
  paths: checkPathPattern,
  notPaths: checkPathPattern,
};

/** Texts that are compared whole, by their beginning or by their end. */
const patternFields: ReadonlySet<string> = new Set(
  ["principals", "requestPrincipals", "namespaces", "trustDomains", "hosts", "methods"].flatMap(
    (field) => [field, `not${field.charAt(0).toUpperCase()}${field.slice(1)}`],
  ),
);

/** Undefined after the problems have been reported. */
export function readAuthorizationPolicy(
  place: Place,
  holder: Holder,
): AuthorizationPolicy | undefined {
  const policy = written(place.orMap());
  if (policy === undefined) return undefined;
  const { action = "ALLOW" } = policy;
  const target = readTarget(policy, holder);
  judgeDryRun(place, action, holder);
  judgeAction(policy, action);
  const rules = (policy.rules ?? []).map((rule) => readRule(rule, action));
  return { ...target, action, provider: policy.provider?.name ?? "", rules };
}

type Action = AuthorizationPolicy["action"];

function judgeDryRun(place: Place, action: Action, { annotations }: Holder): void {
  if (!hasDryRun(annotations)) return;
  const says = "the annotation istio.io/dry-run";
  if (dryRunOf(annotations) === undefined) place.error(`${says} must be true or false`);
  else if (action !== "ALLOW" && action !== "DENY")
    place.error(`${says} is for ALLOW and DENY, not for ${action}`);
}

function judgeAction(policy: Written, action: Action): void {
  const isNamed = (policy.provider?.name ?? "") !== "";
  if (action === "CUSTOM" && !isNamed)
    (policy.has("provider") ? policy.at("provider") : policy.at()).error(
      "must name the provider that is asked",
    );
  if (action !== "CUSTOM" && policy.has("provider"))
    policy.at("provider").error(`has no place beside ${action}: only CUSTOM asks a provider`);
  if (policy.rules === undefined && policy.has("rules")) return;
  if ((action === "DENY" || action === "CUSTOM") && (policy.rules ?? []).length === 0)
    policy
      .at()
      .error(`must have rules: without one ${action} means nobody`, "an empty rule means all");
}

function readRule(rule: WrittenRule, action: Action): AccessRule {
  for (const field of ["from", "to"] as const)
    if (rule[field]?.length === 0 && rule.at().reading.errors === 0)
      rule.at(field).error("must not be empty", "leave it out");
  const from = (rule.from ?? []).flatMap((one): readonly AccessSource[] => {
    if (one.source === undefined && !one.has("source")) one.at().error("must have a source");
    return one.source === undefined ? [] : [readSource(one.source)];
  });
  const to = (rule.to ?? []).flatMap((one): readonly AccessOperation[] => {
    if (one.operation === undefined && !one.has("operation"))
      one.at().error("must have an operation");
    return one.operation === undefined ? [] : [readOperation(one.operation)];
  });
  const read: AccessRule = { from, to, when: rule.when ?? [] };
  if (action === "CUSTOM") refuseIdentity(rule, read.when);
  if ((action === "DENY" || action === "CUSTOM") && isWiderOnTcp(read))
    rule
      .at()
      .warn(
        "denies more on TCP ports: what only requests have is ignored there",
        "name the HTTP ports in its operations",
      );
  return read;
}

function readSource(written: Message<TextFields<SourceField>>): AccessSource {
  const read = readTexts(written, sourceFields, sourceChecks);
  const by = (["serviceAccounts", "notServiceAccounts"] as const).find((one) => written.has(one));
  const others = ["principals", "notPrincipals", "namespaces", "notNamespaces"] as const;
  if (by !== undefined)
    for (const other of others)
      if (written.has(other)) written.at(other).error(`must not stand beside ${by}`);
  for (const field of ["principals", "notPrincipals"] as const)
    for (const value of written[field] ?? [])
      if (value.startsWith("spiffe://"))
        written.at(field).warn(`"${value}" never matches`, `write "${value.slice(9)}"`);
  return read;
}

function readOperation(written: Message<TextFields<OperationField>>): AccessOperation {
  return readTexts(written, operationFields, operationChecks);
}

function readTexts<const K extends string>(
  written: Message<TextFields<K>>,
  fields: readonly K[],
  checks: Checks<K>,
): { readonly [F in K]?: readonly string[] } {
  const read: Partial<Record<K, readonly string[]>> = {};
  // A message of these fields, whose values are lists of texts.
  const values = written as unknown as Partial<Record<K, readonly string[]>>;
  for (const field of fields) {
    const given = values[field];
    if (given === undefined) continue;
    judgeTexts(given, written.at(field), checks[field]);
    if (patternFields.has(field)) warnOfStars(given, written.at(field));
    if (given.length > 0) read[field] = given;
  }
  if (Object.keys(read).length === 0 && written.at().reading.errors === 0)
    written.at().error("must have at least one field");
  return read;
}

function warnOfStars(values: readonly string[], at: Place): void {
  for (const value of values)
    if (value.slice(1, -1).includes("*") || (value.length > 1 && /^\*.*\*$/.test(value)))
      at.warn(`"${value}" is compared as it is: "*" has a meaning at one end only`);
}

/** The proxy asks before it knows who the caller of a request is. */
function refuseIdentity(rule: WrittenRule, when: readonly AccessCondition[]): void {
  const fields: readonly SourceField[] = sourceFields.filter(
    (field) => !/IpBlocks$/i.test(field) && !/trustDomains$/i.test(field),
  );
  for (const { source: one } of rule.from ?? [])
    for (const field of fields)
      if (one?.has(field)) one.at(field).error("has no place in a CUSTOM policy");
  for (const { key } of when)
    if (/^source\.(namespace|principal|serviceAccount)$|^request\.auth\./.test(key))
      rule.at("when").error(`${key} has no place in a CUSTOM policy`);
}

/** "namespace/account", or an account of the policy's namespace. */
function checkAccount(value: string): Complaint {
  const parts = value.split("/");
  if (parts.length > 2 || parts.includes("")) return 'must be "account" or "namespace/account"';
  return value.length > 320 ? "is longer than 320 characters" : undefined;
}
