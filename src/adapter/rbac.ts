/**
 * rbac: may this subject do this action? By roles, which say what may be done, and bindings, which
 * say by whom; what no role of the action's namespace allows is denied. Spec: mixer 6.
 *
 * The original read ServiceRole and ServiceRoleBinding from a store of its own; here they are
 * parameters, so that a handler is published with them or not at all.
 */
import type { TypedValue } from "../attribute/value.ts";
import { list, type Message, mapOf, message, type Reader } from "../dialect/schema/message.ts";
import type { Place } from "../dialect/schema/place.ts";
import { checkedText, oneOf, text } from "../dialect/schema/scalar.ts";
import { type LocalHandler, localAdapter } from "../policy/adapter.ts";
import { requireField, span } from "../policy/parameter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import { type CheckResult, checkFault, checkOk } from "../policy/result.ts";
import { StatusCode } from "../policy/status-code.ts";
import type { Dimensions, Instance } from "../policy/template.ts";

interface Role {
  readonly rules: readonly Rule[];
  /** Of all bindings that name the role. */
  readonly subjects: Subject[];
}

interface Rule {
  readonly services: Patterns;
  readonly methods: Patterns;
  /** Undefined: any. */
  readonly paths: Patterns | undefined;
  readonly constraints: readonly { readonly key: string; readonly values: Patterns }[];
}

/** All that is there has to be so. */
interface Subject {
  readonly user: string | undefined;
  readonly group: string | undefined;
  readonly properties: readonly (readonly [name: string, value: string])[];
}

interface Parameters {
  readonly rolesOf: ReadonlyMap<string, readonly Role[]>;
  readonly allowed: CheckResult;
  readonly denied: CheckResult;
}

/** The answer depends on nothing but the configuration. */
const USES = 1_000_000_000;

const name = checkedText((value) => (value === "" ? "must not be empty" : undefined));
const constraint = message({ key: name, values: list(text) });
const rule = message({
  services: list(name),
  paths: list(name),
  methods: list(name),
  constraints: list(constraint),
});
const role = message({ name, namespace: name, rules: list(rule) });
const subject = message({ user: text, group: text, properties: mapOf(text) }, { groups: "group" });
const binding = message({
  name,
  namespace: name,
  subjects: list(subject),
  roleRef: message({ kind: oneOf("ServiceRole"), name }),
});
const fields = message({
  roles: list(role),
  bindings: list(binding),
  cacheDuration: span(),
  configStoreUrl: text,
});

type WrittenRole = Message<{ [K in "name" | "namespace"]: Reader<string> }>;

function read(place: Place): Parameters | undefined {
  const value = fields(orEmpty(place));
  if (value === undefined) return undefined;
  if (value.has("configStoreUrl"))
    value.at("configStoreUrl").error("is not read here", "write roles and bindings in its place");
  requireField(value, "roles");
  const rolesOf = new Map<string, Map<string, Role>>();
  for (const written of value.roles ?? []) {
    const rules = (written.rules ?? []).map(ruleOf);
    requireField(written, "rules");
    const roles = rolesOf.getOrInsertComputed(written.namespace ?? "", () => new Map());
    if (isNamed(written, new Set(roles.keys())))
      roles.set(written.name ?? "", { rules, subjects: [] });
  }
  const bound = new Map<string, Set<string>>();
  for (const written of value.bindings ?? []) {
    const { namespace = "", roleRef } = written;
    const names = bound.getOrInsertComputed(namespace, () => new Set());
    if (isNamed(written, names)) names.add(written.name ?? "");
    for (const field of ["roleRef", "subjects"] as const) requireField(written, field);
    if (roleRef === undefined) continue;
    requireField(roleRef, "name");
    const named = rolesOf.get(namespace)?.get(roleRef.name ?? "");
    named?.subjects.push(...(written.subjects ?? []).map(subjectOf));
    if (named === undefined && roleRef.name !== undefined)
      roleRef.at("name").error(`there is no role ${roleRef.name} in namespace ${namespace}`);
  }
  const valid = { validDurationMs: value.cacheDuration ?? 60_000, validUseCount: USES };
  const denied = { code: StatusCode.permissionDenied, message: "RBAC: permission denied." };
  return {
    rolesOf: new Map([...rolesOf].map(([namespace, roles]) => [namespace, [...roles.values()]])),
    allowed: { ...checkOk, ...valid },
    denied: { ...checkOk, ...denied, ...valid },
  };
}

function isNamed(written: WrittenRole, taken: ReadonlySet<string>): boolean {
  requireField(written, "name");
  requireField(written, "namespace");
  if (!taken.has(written.name ?? "")) return true;
  written.at("name").error(`${JSON.stringify(written.name)} is given twice in its namespace`);
  return false;
}

function ruleOf(written: NonNullable<ReturnType<typeof rule>>): Rule {
  for (const field of ["services", "methods"] as const) requireField(written, field);
  const constraints = written.constraints ?? [];
  for (const one of constraints)
    for (const field of ["key", "values"] as const) requireField(one, field);
  const { services = [], methods = [], paths = [] } = written;
  return {
    services: new Patterns(services),
    methods: new Patterns(methods),
    paths: paths.length === 0 ? undefined : new Patterns(paths),
    constraints: constraints.map(({ key = "", values = [] }) => {
      return { key, values: new Patterns(values) };
    }),
  };
}

function subjectOf(written: NonNullable<ReturnType<typeof subject>>): Subject {
  const { user = "", group = "", properties = [] } = written;
  if (user === "" && group === "" && properties.length === 0)
    written.at().error("needs a user, a group or properties: it is nobody");
  return {
    user: user === "" ? undefined : user,
    group: group === "" ? undefined : group,
    properties: properties.map(({ key, value }) => [key, value] as const),
  };
}

/** "a" is itself, "*" anything, "a*" a beginning, "*a" an end. */
class Patterns {
  readonly #exact: ReadonlySet<string>;
  readonly #starts: readonly string[];
  readonly #ends: readonly string[];

  constructor(patterns: readonly string[]) {
    this.#exact = new Set(patterns);
    this.#starts = patterns.filter((one) => one.endsWith("*")).map((one) => one.slice(0, -1));
    this.#ends = patterns.filter((one) => one.startsWith("*")).map((one) => one.slice(1));
  }

  match(value: string): boolean {
    if (this.#exact.has(value)) return true;
    for (const start of this.#starts) if (value.startsWith(start)) return true;
    for (const end of this.#ends) if (value.endsWith(end)) return true;
    return false;
  }
}

type Authorization = Instance<"authorization">;

function isAllowed(roles: readonly Role[], { action, subject: who }: Authorization): boolean {
  const { service, method, path, properties } = action ?? {};
  // Without one of them the action is unknown, whatever "*" would make of it.
  if (!service || !method || !path) return false;
  for (const { rules, subjects } of roles)
    for (const { services, methods, paths, constraints } of rules) {
      if (!services.match(service) || !methods.match(method)) continue;
      if (paths !== undefined && !paths.match(path)) continue;
      if (!meets(constraints, properties)) continue;
      for (const one of subjects) if (isSubject(one, who)) return true;
      break;
    }
  return false;
}

function meets(constraints: Rule["constraints"], properties: Dimensions | undefined): boolean {
  for (const { key, values } of constraints) {
    const value = textOf(properties, key);
    if (value === undefined || !values.match(value)) return false;
  }
  return true;
}

function isSubject({ user, group, properties }: Subject, who: Authorization["subject"]): boolean {
  if (user !== undefined && user !== "*" && user !== who?.user) return false;
  if (group !== undefined && group !== "*" && group !== who?.groups) return false;
  for (const [key, value] of properties) if (textOf(who?.properties, key) !== value) return false;
  return true;
}

/** A property that is not text is equal to nothing that an operator can write. */
function textOf(properties: Dimensions | undefined, key: string): string | undefined {
  const of: TypedValue | undefined =
    properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : undefined;
  return typeof of?.value === "string" ? of.value : undefined;
}

export const rbac = localAdapter<Parameters>({
  name: "rbac",
  templates: ["authorization"],
  read,
  open: ({ rolesOf, allowed, denied }): LocalHandler => ({
    check: (instance) => {
      if (instance.template !== "authorization")
        return checkFault(`cannot check ${instance.template}`, StatusCode.unimplemented);
      const roles = rolesOf.get(instance.action?.namespace ?? "");
      return roles !== undefined && isAllowed(roles, instance) ? allowed : denied;
    },
    close() {},
  }),
});
