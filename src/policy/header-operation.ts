/** Operations of a rule on headers, for one exchange. Spec: mixer 1.3. */
import type { AttributeBag } from "../attribute/bag.ts";
import type { ResolvedHeaderOperation } from "./resolved-policy.ts";
import type { HeaderChange } from "./verdict.ts";

export interface HeaderOperation extends ResolvedHeaderOperation {
  /** What it does, where that is the same for every exchange. */
  readonly constant: readonly HeaderChange[] | undefined;
}

export function compileHeaderOperation(
  operation: ResolvedHeaderOperation,
  nothing: AttributeBag,
): HeaderOperation {
  const isConstant = operation.values.every(({ reads }) => reads.size === 0);
  if (!isConstant) return { ...operation, constant: undefined };
  const constant: HeaderChange[] = [];
  evaluate(operation, nothing, constant);
  return { ...operation, constant };
}

/** A value that fails or is empty is skipped. */
export function changeHeaders(
  operations: readonly HeaderOperation[],
  bag: AttributeBag,
  changes: HeaderChange[],
): void {
  for (const operation of operations)
    if (operation.constant === undefined) evaluate(operation, bag, changes);
    else for (const change of operation.constant) changes.push(change);
}

function evaluate(
  { name, operation, values }: ResolvedHeaderOperation,
  bag: AttributeBag,
  changes: HeaderChange[],
): void {
  if (operation === "remove") {
    changes.push({ name, value: "", operation });
    return;
  }
  for (const expression of values) {
    const value = expression.evaluate(bag);
    if (typeof value === "string" && value !== "") changes.push({ name, value, operation });
  }
}
