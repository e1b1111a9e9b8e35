/**
 * The part of the policy that one node acts on.
 *
 *   rules       of the root namespace, and of the node's own, whichever end of an exchange it is
 *   handlers,   that those rules name, in whatever namespace they are
 *   instances
 *   specs       that are bound to its service; at a gateway all, since it speaks for others
 *
 * A mixer gets everything. Spec table: mixer 3.1, 3.2.
 */
import type { PolicyConfig } from "../../api/gen/mesh/v1/policy_pb.ts";
import { isHostWithin } from "../../model/host-name.ts";
import type { Action } from "../../model/policy-rule.ts";
import { type Declared, type PolicySet, policyRootNamespace } from "../../model/policy-set.ts";
import type { SpecBinding } from "../../model/quota-spec.ts";
import { policyToMessage } from "../../policy/policy-message.ts";
import { policyResource, type Resource } from "./resource.ts";
import type { NodeView } from "./source.ts";

export function policyResourceOf(set: PolicySet, node: NodeView): Resource<PolicyConfig> {
  return policyResource(policyToMessage(policyFor(set, node)));
}

/** Nodes with equal keys have equal policy. */
export function policyKey(set: PolicySet, node: NodeView): string {
  if (node.mode === "mixer") return "mixer";
  const bound = [...set.quotaSpecBindings, ...set.httpApiSpecBindings]
    .filter(({ spec }) => isBound(spec, node))
    .map(({ name, namespace }) => `${namespace}/${name}`);
  return [node.namespace, ...bound].join("|");
}

export function policyFor(set: PolicySet, node: NodeView): PolicySet {
  if (node.mode === "mixer") return set;
  const rules = set.rules.filter(
    ({ namespace }) => namespace === policyRootNamespace || namespace === node.namespace,
  );
  const handlers = new Set<string>();
  const instances = new Set<string>();
  for (const { namespace, spec } of rules)
    for (const action of spec.actions) {
      for (const name of handlerNames(action, namespace)) handlers.add(name);
      for (const name of instanceNames(action, namespace)) instances.add(name);
    }
  const quotas = boundSpecs(set.quotaSpecBindings, set.quotaSpecs, node);
  const apis = boundSpecs(set.httpApiSpecBindings, set.httpApiSpecs, node);
  return {
    manifests: set.manifests,
    handlers: set.handlers.filter((one) => handlers.has(fullName(one))),
    instances: set.instances.filter((one) => instances.has(fullName(one))),
    rules,
    quotaSpecs: quotas.specs,
    quotaSpecBindings: quotas.bindings,
    httpApiSpecs: apis.specs,
    httpApiSpecBindings: apis.bindings,
  };
}

/** Stored objects keep their identity as long as they stay; what is made of others does not. */
export function isSamePolicy(a: PolicySet, b: PolicySet): boolean {
  const [before, after] = [Object.values(a).flat(), Object.values(b).flat()] as const;
  return before.length === after.length && before.every((one, i) => isSame(one, after[i]!));
}

function isSame(a: Declared<unknown>, b: Declared<unknown>): boolean {
  return a.spec === b.spec || Bun.deepEquals(a, b);
}

function fullName({ name, namespace, spec }: Declared<{ readonly writtenKind: string }>): string {
  return `${name}.${spec.writtenKind}.${namespace}`;
}

/** Every object that a name may mean; of two the reader of the rule takes one. */
function candidates(written: string, kind: string, namespace: string): readonly string[] {
  const [name, second, ...others] = written.split(".");
  if (second === undefined) return [`${name}.${kind}.${namespace}`];
  if (others.length > 0) return [written];
  return [`${written}.${namespace}`, `${name}.${kind}.${second}`];
}

function handlerNames({ handler }: Action, namespace: string): readonly string[] {
  return "name" in handler ? candidates(handler.name, "handler", namespace) : [];
}

function instanceNames({ instances }: Action, namespace: string): readonly string[] {
  return instances.flatMap((one) =>
    "name" in one ? candidates(one.name, "instance", namespace) : [],
  );
}

function boundSpecs<Spec>(
  bindings: readonly Declared<SpecBinding>[],
  specs: readonly Declared<Spec>[],
  node: NodeView,
): { readonly bindings: typeof bindings; readonly specs: typeof specs } {
  const bound = bindings.filter(({ spec }) => isBound(spec, node));
  const names = new Set(
    bound.flatMap(({ spec }) => spec.specs.map(({ name, namespace }) => `${namespace}/${name}`)),
  );
  return {
    bindings: bound,
    specs: specs.filter(({ name, namespace }) => names.has(`${namespace}/${name}`)),
  };
}

function isBound({ services }: SpecBinding, { service, mode }: NodeView): boolean {
  if (mode === "gateway") return true;
  return services.some((host) => host === "*" || host === service || isHostWithin(service, host));
}
