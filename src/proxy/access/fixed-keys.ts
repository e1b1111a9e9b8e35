/** Keys that stand in the configuration itself: there now, or never. */
import type { KeySet } from "../../policy/jwt/key-set.ts";
import type { KeySource } from "./jwt-rule.ts";

export class FixedKeys implements KeySource {
  readonly keys: KeySet | undefined;
  readonly problem: string;

  constructor(keys: KeySet | undefined, problem: string) {
    this.keys = keys;
    this.problem = problem;
  }

  seek(): boolean {
    return false;
  }

  whenFetched(): undefined {
    return undefined;
  }
}
