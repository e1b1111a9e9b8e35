/** Policy is judged again when it has changed, and not whenever something else has. */
import { policyProblems } from "../adapter/policy-problem.ts";
import { isPolicy } from "../dialect/format-policy.ts";
import type { Config } from "../model/config.ts";
import type { PolicyProblem } from "../policy/resolve-problem.ts";

export class PolicyMemory {
  #configs: readonly Config[] = [];
  #problems: readonly PolicyProblem[] = [];

  problemsOf(configs: readonly Config[]): readonly PolicyProblem[] {
    const policy = configs.filter(isPolicy);
    const isSame =
      policy.length === this.#configs.length &&
      policy.every((config, i) => config === this.#configs[i]);
    if (!isSame) {
      this.#configs = policy;
      this.#problems = policyProblems(policy);
    }
    return this.#problems;
  }
}
