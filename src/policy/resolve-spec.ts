/** Specs of quotas and of APIs, each with the services that are bound to it, whoever bound them. */

import type { Declared } from "../model/policy-set.ts";
import type { SpecBinding } from "../model/quota-spec.ts";
import { withoutDuplicates } from "./resolve-name.ts";
import { byText, type ProblemList, type Subject, subjectOf } from "./resolve-problem.ts";
import type { BoundSpec } from "./resolved-policy.ts";

/** `kind`: of the specs, "quotaspec"; their bindings' is "quotaspecbinding". */
export function bindSpecs<Spec>(
  specs: readonly Declared<Spec>[],
  bindings: readonly Declared<SpecBinding>[],
  { kind, problems }: { readonly kind: string; readonly problems: ProblemList },
): readonly (BoundSpec<Spec> & { readonly subject: Subject })[] {
  const byName = new Map(
    withoutDuplicates(specs, (one) => subjectOf(one, kind), problems).map(([{ spec }, subject]) => [
      subject.name,
      { subject, spec, services: new Set<string>() },
    ]),
  );
  const bindingKind = `${kind}binding`;
  for (const [{ spec }, subject] of withoutDuplicates(
    bindings,
    (one) => subjectOf(one, bindingKind),
    problems,
  ))
    for (const [i, { name, namespace, at }] of spec.specs.entries()) {
      const bound = byName.get(`${name}.${kind}.${namespace || subject.namespace}`);
      if (bound !== undefined) for (const service of spec.services) bound.services.add(service);
      else
        problems.error(subject, `spec.${kind === "quotaspec" ? "quotaSpecs" : "apiSpecs"}[${i}]`, {
          at,
          message: `${kind} '${name}.${namespace || subject.namespace}' not found`,
          suggestion: problems.didYouMean(
            name,
            specs.map((one) => one.name),
          ),
        });
    }
  return [...byName.values()]
    .filter(({ services }) => services.size > 0)
    .sort((a, b) => byText(a.subject.name, b.subject.name))
    .map(({ subject, spec, services }) => ({
      name: subject.name,
      services: services.has("*") ? ["*"] : [...services].sort(),
      spec,
      subject,
    }));
}
