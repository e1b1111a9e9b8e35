/** Who may call whom, as it was declared: the oldest first. Spec table: manager 7. */
import { dryRunOf } from "../../model/authorization-policy.ts";
import { type Config, configKey } from "../../model/config.ts";
import { compare } from "../order.ts";
import { importedAccess } from "./access-import.ts";
import type { AccessObject, AccessSet } from "./access-object.ts";

/** When an object was made; of files that cannot say so, and where two are equal, by their keys. */
export type AgeOf = (config: Config) => number;

export function accessSetOf(
  configs: readonly Config[],
  domain: string,
  createdMs: AgeOf,
): AccessSet {
  const sorted = configs
    .map((config) => ({ config, madeMs: createdMs(config), key: configKey(config) }))
    .sort((a, b) => a.madeMs - b.madeMs || compare(a.key, b.key))
    .map(({ config }) => config);
  const imported = importedAccess(sorted, domain);
  const mesh = sorted.find((config) => config.kind === "MeshConfig");
  const isStrict = mesh?.spec.identity?.authPolicy === "MUTUAL_TLS";
  return {
    ...(mesh && isStrict && { base: { ...objectOf(mesh), spec: { mode: "STRICT", ports: {} } } }),
    peers: [
      ...sorted.filter((config) => config.kind === "PeerAuthentication").map(objectOf),
      ...imported.peers,
    ],
    requests: [
      ...sorted.filter((config) => config.kind === "RequestAuthentication").map(objectOf),
      ...imported.requests,
    ],
    policies: [
      ...sorted
        .filter((config) => config.kind === "AuthorizationPolicy")
        .map((config) => {
          const dryRun = dryRunOf(config.meta.annotations) === true;
          const object = objectOf(config);
          return { ...object, spec: { ...object.spec, dryRun } };
        }),
      ...imported.policies,
    ],
    entries: new Map(
      sorted
        .filter((config) => config.kind === "ServiceEntry")
        .map(({ meta, spec }) => [`${meta.namespace}/${meta.name}`, spec.hosts]),
    ),
    domain,
  };
}

function objectOf<C extends Config>(config: C): AccessObject<C["spec"]> {
  const { meta, origin, spec } = config;
  return { object: configKey(config), namespace: meta.namespace, origin, spec };
}

export function isSameAccess(a: AccessSet, b: AccessSet): boolean {
  const pairs = [
    [a.peers, b.peers],
    [a.requests, b.requests],
    [a.policies, b.policies],
  ] as const;
  return (
    pairs.every(
      ([before, after]) =>
        before.length === after.length && before.every((one, i) => isSame(one, after[i]!)),
    ) &&
    Bun.deepEquals(a.entries, b.entries) &&
    Bun.deepEquals(a.base, b.base)
  );
}

/** Stored objects keep their spec as long as they stay. */
function isSame(a: AccessObject<unknown>, b: AccessObject<unknown>): boolean {
  return a.object === b.object && (a.spec === b.spec || Bun.deepEquals(a, b));
}
