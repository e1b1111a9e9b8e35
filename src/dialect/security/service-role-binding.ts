/** ServiceRoleBinding of rbac.istio.io and config.istio.io: who has a role. */
import type { AccessCondition, AccessSource } from "../../model/authorization-policy.ts";
import type { RoleSubject, ServiceRoleBinding } from "../../model/service-role.ts";
import { list, mapOf, message, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { nonEmpty, oneOf, text } from "../schema/scalar.ts";
import { isConditionKey } from "./access-condition.ts";

const texts = list(nonEmpty);

const subject = message({
  user: text,
  names: texts,
  notNames: texts,
  group: text,
  groups: texts,
  notGroups: texts,
  namespaces: texts,
  notNamespaces: texts,
  ips: texts,
  notIps: texts,
  properties: mapOf(text),
});

const written = message({
  subjects: list(subject),
  roleRef: message({ kind: oneOf("ServiceRole"), name: text }),
  role: text,
  mode: oneOf("ENFORCED", "PERMISSIVE"),
  actions: list(message({})),
});

/** Undefined after the problems have been reported. */
export function readServiceRoleBinding(place: Place): ServiceRoleBinding | undefined {
  const binding = written(place.orMap());
  if (binding === undefined) return undefined;
  const { roleRef } = binding;
  if ((binding.subjects ?? []).length === 0 && place.reading.errors === 0)
    (binding.has("subjects") ? binding.at("subjects") : place).error("must have a subject");
  if (roleRef !== undefined) {
    if (roleRef.kind === undefined && !roleRef.has("kind")) roleRef.at().error("must have a kind");
    if ((roleRef.name ?? "") === "") roleRef.at().error("must have a name");
  } else if (!binding.has("roleRef") && (binding.role ?? "") === "")
    place.error("must have a roleRef");
  return {
    role: roleRef?.name ?? binding.role ?? "",
    subjects: (binding.subjects ?? []).map(readSubject),
    dryRun: binding.mode === "PERMISSIVE",
  };
}

/** What properties of a subject are called in a source. */
const properties: Readonly<Record<string, keyof AccessSource>> = {
  "source.principal": "principals",
  "source.namespace": "namespaces",
  "source.ip": "ipBlocks",
  "request.auth.principal": "requestPrincipals",
};

const subjectFields = [
  ...(["user", "names", "notNames", "group", "groups", "notGroups", "namespaces"] as const),
  ...(["notNamespaces", "ips", "notIps", "properties"] as const),
];

/** No field of it has a mistake of its own. */
function isReadable(one: NonNullable<ValueOf<typeof subject>>): boolean {
  return subjectFields.every((field) => one.has(field) === (one[field] !== undefined));
}

function readSubject(one: NonNullable<ValueOf<typeof subject>>): RoleSubject {
  // What is written and empty says of nobody who it is; as nothing at all it would be anybody.
  if (!subjectFields.some((field) => (one[field] ?? "").length > 0) && isReadable(one))
    one.at().error("is nobody");
  const source: Partial<Record<keyof AccessSource, readonly string[]>> = {};
  const add = (field: keyof AccessSource, values: readonly string[] | undefined): void => {
    if (values !== undefined && values.length > 0)
      source[field] = [...(source[field] ?? []), ...values];
  };
  const when: AccessCondition[] = [];
  if (one.user !== undefined && one.user !== "" && one.user !== "*") add("principals", [one.user]);
  if (one.names?.includes("*") !== true) add("principals", one.names);
  add("notPrincipals", one.notNames);
  add("namespaces", one.namespaces);
  add("notNamespaces", one.notNamespaces);
  add("ipBlocks", one.ips);
  add("notIpBlocks", one.notIps);
  const groups = [...(one.group ? [one.group] : []), ...(one.groups ?? [])];
  const { notGroups = [] } = one;
  if (groups.length + notGroups.length > 0)
    when.push({ key: "request.auth.claims[groups]", values: groups, notValues: notGroups });
  let isUnknown = false;
  for (const { key, value, at } of one.properties ?? []) {
    const field = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (field !== undefined && source[field] === undefined) add(field, [value]);
    else if (isConditionKey(key)) when.push({ key, values: [value], notValues: [] });
    else {
      isUnknown = true;
      at.warn(`makes its subject nobody: nothing is known of "${key}"`);
    }
  }
  const isAnybody = Object.keys(source).length === 0;
  return { source: isAnybody ? undefined : source, when, isUnknown };
}
