/** What only shows when objects about who may call whom are seen together. */
import type { Problem } from "../../core/problem.ts";
import { type AccessRule, dryRunOf } from "../../model/authorization-policy.ts";
import { type Config, type ConfigOf, configKey, ofKind } from "../../model/config.ts";
import type { WorkloadTarget } from "../../model/workload-target.ts";

/** `isWhole`: what is not among them is nowhere. */
export function accessProblems(configs: readonly Config[], isWhole: boolean): readonly Problem[] {
  const among = [
    ...severalOfOneLevel(ofKind(configs, "PeerAuthentication")),
    ...overruled(ofKind(configs, "AuthorizationPolicy")),
  ];
  if (!isWhole) return among;
  return [...unknownProviders(configs), ...among, ...idleRoles(configs), ...unboundRoles(configs)];
}

function warning(config: Config, path: string, message: string): Problem {
  const [, field = ""] = /^spec\.(\w+)/.exec(path) ?? [];
  const position = config.fields?.[field] ?? config.origin;
  return { severity: "warning", position, path, message };
}

/** Who cannot be asked cannot say yes. */
function unknownProviders(configs: readonly Config[]): readonly Problem[] {
  const known = new Set(
    ofKind(configs, "MeshConfig").flatMap(({ spec }) => spec.authorizers.map(({ name }) => name)),
  );
  return ofKind(configs, "AuthorizationPolicy")
    .filter(({ spec: { action, provider } }) => action === "CUSTOM" && !known.has(provider))
    .map((config) => {
      const { provider } = config.spec;
      const message = `no extension provider is called ${provider}: what matches is refused`;
      return warning(config, "spec.provider", message);
    });
}

function severalOfOneLevel(configs: readonly ConfigOf<"PeerAuthentication">[]): readonly Problem[] {
  const levels = Map.groupBy(configs, ({ meta, spec }) => `${meta.namespace} ${targetText(spec)}`);
  return [...levels.values()].flatMap(([first, ...others]) =>
    others
      .filter((other) => configKey(other) !== configKey(first!))
      .map((other) => {
        const message = `is for the same workloads as ${configKey(first!)}: the older one counts`;
        return warning(other, "spec", message);
      }),
  );
}

function targetText({ selector = {}, references = [] }: WorkloadTarget): string {
  const names = references.map(({ kind, name }) => `${kind}/${name}`);
  const labels = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  return [...labels, ...names].sort().join(",");
}

/** Beside a DENY of everything nothing is allowed; beside an ALLOW of it nothing more is. */
function overruled(configs: readonly ConfigOf<"AuthorizationPolicy">[]): readonly Problem[] {
  const groups = Map.groupBy(configs, ({ meta, spec }) => `${meta.namespace} ${targetText(spec)}`);
  return [...groups.values()].flatMap((group) => {
    const wide = group.filter((config) => isInForce(config) && config.spec.rules.some(isAnything));
    const by =
      wide.find(({ spec }) => spec.action === "DENY") ??
      wide.find(({ spec }) => spec.action === "ALLOW");
    if (by === undefined) return [];
    const { action } = by.spec;
    return group
      .filter(({ spec }) => spec.action === "ALLOW" || spec.action === action)
      .filter((config) => configKey(config) !== configKey(by) && isInForce(config))
      .map((config) =>
        warning(
          config,
          "spec",
          `decides nothing: ${configKey(by)} has a rule that ${verbs[action]}`,
        ),
      );
  });
}

const verbs = {
  ...{ ALLOW: "allows everything", DENY: "denies everything" },
  ...{ AUDIT: "is about everything", CUSTOM: "is about everything" },
} as const;

function isInForce({ meta }: ConfigOf<"AuthorizationPolicy">): boolean {
  return dryRunOf(meta.annotations) !== true;
}

function isAnything({ from, to, when }: AccessRule): boolean {
  return from.length + to.length + when.length === 0;
}

/** Nobody asks for roles until a config says where. */
function idleRoles(configs: readonly Config[]): readonly Problem[] {
  const isAsked = [...ofKind(configs, "ClusterRbacConfig"), ...ofKind(configs, "RbacConfig")];
  if (isAsked.length > 0) return [];
  return ofKind(configs, "ServiceRoleBinding").map((binding) =>
    warning(binding, "spec", "has no effect: no ClusterRbacConfig or RbacConfig asks for roles"),
  );
}

function unboundRoles(configs: readonly Config[]): readonly Problem[] {
  const roles = new Set(
    ofKind(configs, "ServiceRole").map(({ meta }) => `${meta.namespace}/${meta.name}`),
  );
  return ofKind(configs, "ServiceRoleBinding")
    .filter(({ meta, spec }) => !roles.has(`${meta.namespace}/${spec.role}`))
    .map((binding) => {
      const message = `there is no ServiceRole ${binding.spec.role} in ${binding.meta.namespace}`;
      return warning(binding, "spec.roleRef", message);
    });
}
