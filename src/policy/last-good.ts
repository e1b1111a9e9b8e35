/**
 * One bad object takes no other down, and itself falls back: where an object is broken, its last
 * good form stays in force, beside everything else that is new.
 */
import { isError } from "../core/problem.ts";
import type { Declared, PolicySet } from "../model/policy-set.ts";
import type { Resolved } from "./resolve.ts";

export interface KeepingResolved extends Resolved {
  /** What was resolved in the end: `former` of the next time. */
  readonly set: PolicySet;
  /** Full names of objects that are in force in their former form. */
  readonly kept: readonly string[];
}

/** Problems are those of `set`, whatever takes the place of what is broken. */
export function resolveKeeping(
  set: PolicySet,
  former: PolicySet | undefined,
  resolve: (set: PolicySet) => Resolved,
): KeepingResolved {
  const resolved = resolve(set);
  const broken = new Set(
    resolved.problems
      .filter((problem) => isError(problem) && problem.about !== "consequence")
      .map(({ object }) => object),
  );
  if (former === undefined || broken.size === 0) return { ...resolved, set, kept: [] };
  const { mended, kept } = mend(set, former, broken);
  if (kept.length === 0) return { ...resolved, set, kept };
  return { policy: resolve(mended).policy, problems: resolved.problems, set: mended, kept };
}

function mend(
  set: PolicySet,
  former: PolicySet,
  broken: ReadonlySet<string>,
): { readonly mended: PolicySet; readonly kept: readonly string[] } {
  const kept: string[] = [];
  const mendKind = <Spec extends object>(
    kind: keyof PolicySet,
    now: readonly Declared<Spec>[],
    before: readonly Declared<Spec>[],
  ): readonly Declared<Spec>[] => {
    const byName = new Map(before.map((one) => [fullName(kind, one), one]));
    return now.map((one) => {
      const name = fullName(kind, one);
      const last = broken.has(name) ? byName.get(name) : undefined;
      if (last === undefined || Bun.deepEquals(last.spec, one.spec)) return one;
      kept.push(name);
      return last;
    });
  };
  const kinds = Object.keys(kindOf) as (keyof PolicySet)[];
  const entries = kinds.map((kind) => [kind, mendKind<object>(kind, set[kind], former[kind])]);
  // Each list is one of set's own kind.
  return { mended: Object.fromEntries(entries) as PolicySet, kept };
}

const kindOf: Readonly<Record<keyof PolicySet, string>> = {
  manifests: "attributemanifest",
  handlers: "handler",
  instances: "instance",
  rules: "rule",
  quotaSpecs: "QuotaSpec",
  quotaSpecBindings: "QuotaSpecBinding",
  httpApiSpecs: "HTTPAPISpec",
  httpApiSpecBindings: "HTTPAPISpecBinding",
};

/** As problems name objects. */
function fullName(kind: keyof PolicySet, { name, namespace, spec }: Declared<object>): string {
  const written = "writtenKind" in spec ? String(spec.writtenKind) : kindOf[kind];
  return `${name}.${written}.${namespace}`;
}
