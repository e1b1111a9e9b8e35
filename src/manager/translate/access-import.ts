/**
 * What authentication.istio.io and rbac.istio.io said, as security.istio.io says it. A Policy is of
 * its namespace, or of services in it; roles are asked where a ClusterRbacConfig says so, else a
 * RbacConfig: there nobody may do anything but what a bound role allows.
 */
import type { AuthenticationPolicy } from "../../model/authentication-policy.ts";
import type { AccessRule } from "../../model/authorization-policy.ts";
import { type Config, type ConfigOf, configKey, ofKind } from "../../model/config.ts";
import { policyRootNamespace } from "../../model/policy-set.ts";
import type { RbacConfig, RoleRule, RoleSubject } from "../../model/service-role.ts";
import type { WorkloadTarget } from "../../model/workload-target.ts";
import type { AccessObject, AccessSet, Cover, DryRunPolicy } from "./access-object.ts";
import { fullHostName } from "./host-name.ts";

type Imported = Pick<AccessSet, "peers" | "requests" | "policies">;

/** `configs`: the oldest first. */
export function importedAccess(configs: readonly Config[], domain: string): Imported {
  const parts = [
    ...ofKind(configs, "Policy").map((config) => policyOf(config, config.meta.namespace)),
    ...ofKind(configs, "MeshPolicy").map((config) => policyOf(config, policyRootNamespace)),
  ];
  return {
    peers: parts.flatMap(({ peers }) => peers),
    requests: parts.flatMap(({ requests }) => requests),
    policies: [...parts.flatMap(({ policies }) => policies), ...rolesOf(configs, domain)],
  };
}

function policyOf(
  config: ConfigOf<"Policy"> | ConfigOf<"MeshPolicy">,
  namespace: string,
): Imported {
  const { spec, origin } = config;
  const object = { object: configKey(config), namespace, origin };
  const whole = spec.targets.length === 0;
  const target: WorkloadTarget = whole
    ? {}
    : { references: spec.targets.map(({ name }) => ({ kind: "Service", name })) };
  const peers = whole
    ? [{ ...object, spec: { mode: spec.mode, ports: {} } }]
    : spec.targets.map(({ name, ports }) => ({
        ...object,
        spec: {
          references: [{ kind: "Service" as const, name }],
          mode: ports.length === 0 ? spec.mode : ("UNSET" as const),
          ports: Object.fromEntries(ports.map((port) => [String(port), spec.mode])),
        },
      }));
  return {
    peers,
    requests:
      spec.rules.length === 0 ? [] : [{ ...object, spec: { ...target, rules: spec.rules } }],
    policies: spec.needsToken ? tokenNeeded(spec).map((one) => ({ ...object, spec: one })) : [],
  };
}

/** Who has no token is denied. */
function tokenNeeded({ targets }: AuthenticationPolicy): readonly DryRunPolicy[] {
  const from = [{ notRequestPrincipals: ["*"] }];
  const common = { action: "DENY", provider: "", dryRun: false } as const;
  if (targets.length === 0) return [{ ...common, rules: [{ from, to: [], when: [] }] }];
  return targets.map(({ name, ports }) => ({
    ...common,
    references: [{ kind: "Service", name }],
    rules: [{ from, to: ports.length === 0 ? [] : [{ ports: ports.map(String) }], when: [] }],
  }));
}

function rolesOf(configs: readonly Config[], domain: string): AccessSet["policies"] {
  const config = ofKind(configs, "ClusterRbacConfig")[0] ?? ofKind(configs, "RbacConfig")[0];
  if (config === undefined || config.spec.mode === "OFF") return [];
  const asked = coversOf(config.spec, domain);
  const isTrial = config.spec.dryRun;
  const nobody: AccessObject<DryRunPolicy> = {
    object: configKey(config),
    namespace: policyRootNamespace,
    origin: config.origin,
    spec: { action: "ALLOW", provider: "", dryRun: isTrial, rules: [] },
    covers: asked,
  };
  const roles = new Map(
    ofKind(configs, "ServiceRole").map((role) => [
      `${role.meta.namespace}/${role.meta.name}`,
      role,
    ]),
  );
  const bound = ofKind(configs, "ServiceRoleBinding").flatMap((binding) => {
    const { namespace } = binding.meta;
    const role = roles.get(`${namespace}/${binding.spec.role}`);
    const subjects = binding.spec.subjects.filter(({ isUnknown }) => !isUnknown);
    return (role?.spec.rules ?? [])
      .filter(({ isUnknown }) => !isUnknown)
      .map((rule): AccessObject<DryRunPolicy> => {
        const hosts = rule.services.map((one) => hostPattern(one, namespace, domain));
        const rules = subjects.map((subject) => ruleOf(rule, subject));
        return {
          object: configKey(binding),
          namespace,
          origin: binding.origin,
          spec: {
            ...{ action: "ALLOW", provider: "", rules },
            dryRun: isTrial || binding.spec.dryRun,
          },
          covers: [
            ...asked,
            { facts: [{ of: "host", values: hosts }], isExcluded: false },
            ...rule.workload.map(({ key, values }) => coverOf(key, values)),
          ],
        };
      });
  });
  return [nobody, ...bound];
}

function coversOf({ mode, services, namespaces }: RbacConfig, domain: string): readonly Cover[] {
  if (mode === "ON") return [];
  return [
    {
      facts: [
        { of: "host", values: services.map((one) => hostPattern(one, "", domain)) },
        { of: "namespace", values: namespaces },
      ],
      isExcluded: mode === "ON_WITH_EXCLUSION",
    },
  ];
}

/** "labels[version]", "namespace", "name" */
function coverOf(key: string, values: readonly string[]): Cover {
  const label = /^labels\[(.*)\]$/.exec(key)?.[1];
  const fact =
    label !== undefined
      ? { of: "label" as const, label, values }
      : { of: key === "name" ? ("name" as const) : ("namespace" as const), values };
  return { facts: [fact], isExcluded: false };
}

function hostPattern(written: string, namespace: string, domain: string): string {
  return written.includes("*") ? written : fullHostName(written, namespace, domain);
}

function ruleOf({ operation, when }: RoleRule, subject: RoleSubject): AccessRule {
  return {
    from: subject.source === undefined ? [] : [subject.source],
    to: operation === undefined ? [] : [operation],
    when: [...when, ...subject.when],
  };
}
