/** What only shows when objects about who may call whom are seen together. */
import type { Problem } from "../../core/problem.ts";
import { type Config, type ConfigKind, type ConfigOf, configKey } from "../../model/config.ts";
import type { WorkloadTarget } from "../../model/workload-target.ts";

export function accessProblems(configs: readonly Config[]): readonly Problem[] {
  return [
    ...unknownProviders(configs),
    ...severalOfOneLevel(ofKind(configs, "PeerAuthentication")),
    ...idleRoles(configs),
    ...unboundRoles(configs),
  ];
}

function ofKind<K extends ConfigKind>(configs: readonly Config[], kind: K): ConfigOf<K>[] {
  return configs.filter((config): config is ConfigOf<K> => config.kind === kind);
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

function targetText({ selector = {} }: WorkloadTarget): string {
  return Object.entries(selector)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");
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
