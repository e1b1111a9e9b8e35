/**
 * What one proxy asks of its callers: the objects that are for it, with every name in full.
 *
 *   mode of a port    that of the port > workload > namespace > mesh > PERMISSIVE, the oldest of
 *                     each, UNSET as the next wider one
 *   the rest          of its namespace and of the root namespace, all of them, the oldest first
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type AccessConfig,
  AccessConfigSchema,
  type AccessOriginSchema,
  AuthorizationPolicy_Action,
  type AuthorizationPolicySchema,
  type ExternalAuthorizerSchema,
  MutualTls_Mode,
} from "../../api/gen/mesh/v1/access_pb.ts";
import type {
  AccessCondition,
  AccessSource,
  AuthorizationPolicy,
} from "../../model/authorization-policy.ts";
import type { MutualTlsMode } from "../../model/peer-authentication.ts";
import { policyRootNamespace } from "../../model/policy-set.ts";
import {
  type AccessObject,
  type AccessSet,
  type DryRunPolicy,
  isFor,
  isWide,
} from "./access-object.ts";
import { inDomains } from "./principal-domain.ts";
import type { NodeView } from "./source.ts";

/** What names of others are made with. */
export interface AccessNames {
  /** The mesh's own first, then its aliases; none: nobody has an identity. */
  readonly trustDomains: readonly string[];
  readonly authorizers: readonly MessageInitShape<typeof ExternalAuthorizerSchema>[];
}

/** Nodes with equal keys have equal access. */
export function accessKey(set: AccessSet, node: NodeView): string {
  if (node.mode === "mixer") return "mixer";
  const all = [...set.peers, ...set.requests, ...set.policies];
  const own = all.flatMap((one, i) => (isFor(one, node, set) ? [i] : []));
  const inRoot = node.namespace === policyRootNamespace ? "root" : "";
  // Their places, since several may be made of one object.
  return [node.mode ?? "", inRoot, ...own].join("|");
}

export function accessOf(set: AccessSet, node: NodeView, names: AccessNames): AccessConfig {
  if (node.mode === "mixer") return create(AccessConfigSchema);
  const policies = set.policies.filter((one) => isFor(one, node, set));
  const asked = new Set(policies.map(({ spec }) => spec.provider));
  const { mode, ports, origin } = mutualTlsOf(set, node);
  return create(AccessConfigSchema, {
    // At a gateway each of its ports says by itself whether it is TLS.
    ...(node.mode !== "gateway" && {
      mutualTls: {
        mode: MutualTls_Mode[mode],
        ports: Object.fromEntries(
          Object.entries(ports).map(([port, own]) => [Number(port), MutualTls_Mode[own]]),
        ),
        ...(origin !== undefined && { origin: originOf(origin) }),
      },
    }),
    requestAuthentications: set.requests
      .filter((one) => isFor(one, node, set))
      .map(({ spec, ...object }) => ({
        origin: originOf(object),
        rules: spec.rules.map((rule) => ({
          ...rule,
          audiences: [...rule.audiences],
          fromHeaders: [...rule.fromHeaders],
          fromParams: [...rule.fromParams],
          fromCookies: [...rule.fromCookies],
          outputClaimToHeaders: [...rule.outputClaimToHeaders],
          spaceDelimitedClaims: [...rule.spaceDelimitedClaims],
        })),
      })),
    authorizationPolicies: policies.map((one) => policyOf(one, names)),
    externalAuthorizers: names.authorizers.filter(({ name = "" }) => asked.has(name)),
  });
}

type ModeInForce = Exclude<MutualTlsMode, "UNSET">;

export interface MutualTlsInForce {
  readonly mode: ModeInForce;
  readonly ports: Readonly<Record<string, ModeInForce>>;
  /** Who says so; absent: nobody. */
  readonly origin?: Omit<AccessObject<unknown>, "spec">;
}

/** Spec table: manager 7. */
export function mutualTlsOf(set: AccessSet, node: NodeView): MutualTlsInForce {
  const own = set.peers.filter((one) => isFor(one, node, set));
  const mesh = own.find((one) => one.namespace === policyRootNamespace && isWide(one));
  const ofNamespace = own.filter(({ namespace }) => namespace === node.namespace);
  const namespace = ofNamespace.find(isWide);
  // One that selects workloads is for those of its own namespace, the root namespace's too.
  const workload = ofNamespace.find((one) => !isWide(one));
  const decides = [workload, namespace, mesh, set.base].find(
    (one) => one !== undefined && one.spec.mode !== "UNSET",
  );
  const mode = modeOf(decides?.spec.mode ?? "UNSET", "PERMISSIVE");
  const ports = Object.entries(workload?.spec.ports ?? {}).map(
    ([port, said]) => [port, modeOf(said, mode)] as const,
  );
  const origin = decides ?? (ports.length > 0 ? workload : undefined);
  return { mode, ports: Object.fromEntries(ports), ...(origin !== undefined && { origin }) };
}

function modeOf(said: MutualTlsMode, wider: ModeInForce): ModeInForce {
  return said === "UNSET" ? wider : said;
}

function originOf({
  object,
  origin,
}: Omit<AccessObject<unknown>, "spec">): MessageInitShape<typeof AccessOriginSchema> {
  const { file, line, column } = origin;
  return { object, file, line, column };
}

const actions: Readonly<Record<AuthorizationPolicy["action"], AuthorizationPolicy_Action>> = {
  ALLOW: AuthorizationPolicy_Action.ALLOW,
  DENY: AuthorizationPolicy_Action.DENY,
  AUDIT: AuthorizationPolicy_Action.AUDIT,
  CUSTOM: AuthorizationPolicy_Action.CUSTOM,
};

function policyOf(
  { spec, ...object }: AccessObject<DryRunPolicy>,
  { trustDomains }: AccessNames,
): MessageInitShape<typeof AuthorizationPolicySchema> {
  const naming: Naming = { namespace: object.namespace, trustDomains };
  return {
    origin: originOf(object),
    action: actions[spec.action],
    provider: spec.provider,
    dryRun: spec.dryRun,
    rules: spec.rules.map(({ from, to, when }) => ({
      from: from.map((source) => sourceOf(source, naming)),
      to: to.map(copied),
      when: when.map((condition) => conditionOf(condition, naming)),
    })),
  };
}

interface Naming {
  readonly namespace: string;
  readonly trustDomains: readonly string[];
}

type Texts = Readonly<Record<string, readonly string[]>>;

/** Messages own their lists. */
function copied(fields: Texts): Record<string, string[]> {
  return Object.fromEntries(Object.entries(fields).map(([field, values]) => [field, [...values]]));
}

function sourceOf(source: AccessSource, naming: Naming): Record<string, string[]> {
  const written: Texts = source;
  const entries = Object.entries(written).map(([field, values]) => {
    if (/^(notP|p)rincipals$/.test(field)) return [field, principals(values, naming)];
    if (/^(notS|s)erviceAccounts$/.test(field)) return [field, accounts(values, naming)];
    return [field, [...values]];
  });
  return Object.fromEntries(entries);
}

function conditionOf({ key, values, notValues }: AccessCondition, naming: Naming) {
  const inFull =
    key === "source.principal"
      ? principals
      : key === "source.serviceAccount"
        ? accounts
        : undefined;
  return {
    key,
    values: inFull?.(values, naming) ?? [...values],
    notValues: inFull?.(notValues, naming) ?? [...notValues],
  };
}

function principals(values: readonly string[], { trustDomains }: Naming): string[] {
  return [...new Set(values.flatMap((value) => inDomains(value, trustDomains)))];
}

function accounts(values: readonly string[], { namespace }: Naming): string[] {
  return values.map((value) => (value.includes("/") ? value : `${namespace}/${value}`));
}
