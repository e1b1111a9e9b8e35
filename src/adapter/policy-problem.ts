/**
 * What is wrong with policy, seen as a whole and with every adapter that there is: names that lead
 * nowhere, expressions of the wrong type, parameters that an adapter refuses.
 */
import { declaredPolicy, policySetOf } from "../dialect/policy/policy-set.ts";
import { type Config, configKey, writtenKind } from "../model/config.ts";
import { policyRootNamespace } from "../model/policy-set.ts";
import { resolvePolicy } from "../policy/resolve.ts";
import type { PolicyProblem } from "../policy/resolve-problem.ts";
import { templates } from "../policy/template.ts";
import { adapters } from "./inventory.ts";

/** Of several configs with one key the first counts: that there are several is told by others. */
export function policyProblems(configs: readonly Config[]): readonly PolicyProblem[] {
  const unique = new Map<string, Config>();
  for (const config of configs) {
    const key = configKey(config);
    if (!unique.has(key)) unique.set(key, config);
  }
  const some = [...unique.values()];
  if (Object.values(declaredPolicy(some)).every((declared) => declared.length === 0)) return [];
  const inventory = { adapters, templates };
  const options = { rootNamespace: policyRootNamespace };
  return resolvePolicy(policySetOf(some), inventory, options).problems;
}

/** The name by which a problem knows its object. */
export function policyObjectName(config: Config): string {
  const { name, namespace } = config.meta;
  return `${name}.${writtenKind(config)}.${namespace}`;
}

/** Of a part of a mesh's policy: what is not there may be elsewhere, so it is a warning. */
export function problemsOfPart(problems: readonly PolicyProblem[]): readonly PolicyProblem[] {
  const incomplete = new Set(
    problems.filter(({ about }) => about === "reference").map(({ object }) => object),
  );
  return problems.map((problem) => {
    const { about, object } = problem;
    const isCertain = about === "itself" || (about === "consequence" && !incomplete.has(object));
    return isCertain ? problem : { ...problem, severity: "warning" };
  });
}
