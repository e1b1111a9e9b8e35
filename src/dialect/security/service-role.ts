/**
 * ServiceRole of rbac.istio.io and config.istio.io: what may be done with services. Its constraints
 * may speak of the workload, which is settled before a proxy is told.
 */
import type { AccessCondition, AccessOperation } from "../../model/authorization-policy.ts";
import type { RoleRule, ServiceRole } from "../../model/service-role.ts";
import { list, message, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { integer, nonEmpty, text } from "../schema/scalar.ts";
import { isConditionKey } from "./access-condition.ts";

const texts = list(nonEmpty);
const ports = list(integer({ least: 0, most: 65_535 }));

const rule = message({
  services: texts,
  hosts: texts,
  notHosts: texts,
  paths: texts,
  notPaths: texts,
  methods: texts,
  notMethods: texts,
  ports,
  notPorts: ports,
  constraints: list(message({ key: text, values: texts })),
});

const written = message({ rules: list(rule) });

type WrittenRule = NonNullable<ValueOf<typeof rule>>;

/** Undefined after the problems have been reported. */
export function readServiceRole(
  place: Place,
  { apiVersion }: { readonly apiVersion: string },
): ServiceRole | undefined {
  const role = written(place.orMap());
  if (role === undefined) return undefined;
  if ((role.rules ?? []).length === 0 && place.reading.errors === 0)
    (role.has("rules") ? role.at("rules") : place).error("must have at least one rule");
  // Of the first releases, where nothing that is left out means everything.
  const isFirst = apiVersion.startsWith("config.");
  return { rules: (role.rules ?? []).map((one) => readRule(one, isFirst)) };
}

function readRule(one: WrittenRule, isFirst: boolean): RoleRule {
  const needed = isFirst ? (["services", "methods"] as const) : (["services"] as const);
  for (const field of needed)
    if ((one[field] ?? []).length === 0 && (!one.has(field) || one[field] !== undefined))
      one.at(field).error("must not be empty");
  const constraints = (one.constraints ?? []).map((constraint) => {
    const { key = "", values = [] } = constraint;
    if (key === "") constraint.at().error("must have a key");
    if (values.length === 0) constraint.at().error("must have values");
    return { key, values, at: constraint.at() };
  });
  const when: AccessCondition[] = [];
  const workload: { key: string; values: readonly string[] }[] = [];
  let isUnknown = false;
  for (const { key, values, at } of constraints) {
    const own = /^destination\.(labels\[[^[\]]+\]|namespace|name)$/.exec(key)?.[1];
    if (own !== undefined) workload.push({ key: own, values });
    else if (isConditionKey(key)) when.push({ key, values, notValues: [] });
    else {
      isUnknown = true;
      at.warn(`makes its rule match nothing: nothing is known of "${key}"`);
    }
  }
  const operation = readOperation(one);
  return { services: one.services ?? [], operation, when, workload, isUnknown };
}

function readOperation(one: WrittenRule): AccessOperation | undefined {
  const numbers = (values: readonly number[] | undefined) => values?.map(String);
  const { hosts, notHosts, paths, notPaths, methods, notMethods } = one;
  const fields = {
    ...{ hosts, notHosts, paths, notPaths, methods, notMethods },
    ...{ ports: numbers(one.ports), notPorts: numbers(one.notPorts) },
  };
  const said = Object.entries(fields).filter(
    ([field, values]) =>
      values !== undefined &&
      values.length > 0 &&
      (field.startsWith("not") || !values.includes("*")),
  );
  return said.length === 0 ? undefined : Object.fromEntries(said);
}
