/**
 * Finds the object that was made of the same values before, so that what is made of it in turn
 * (labels, a series, a counter) is found by the object itself.
 *
 *   [a, b, c, d] ──position 1──▶ b ──position 3──▶ d ──▶ the object, if all values are its own
 *
 * A tree over those positions only in which the known ones differ: of 20 dimensions of a metric
 * mostly the service, its version and the code. Values are compared by `===`.
 */
import type { Value } from "../attribute/value.ts";

interface Node<T> {
  /** Of a branch; −1: this is an end. */
  readonly position: number;
  readonly below: Map<Value, Node<T>> | undefined;
  readonly values: readonly Value[];
  readonly object: T | undefined;
}

export const knownMax = 1_024;
/** Longer texts come from traffic, and are not worth keeping. */
const TEXT_MAX = 256;

export class KnownValues<T> {
  #root: Node<T> | undefined = undefined;
  #size = 0;

  find(values: readonly Value[]): T | undefined {
    let node = this.#root;
    while (node !== undefined && node.position !== -1)
      node = node.below!.get(values[node.position]!);
    if (node === undefined) return undefined;
    const own = node.values;
    for (let i = 0; i < own.length; i++) if (own[i] !== values[i]) return undefined;
    return node.object;
  }

  /** What `find` did not find. The values are copied; all that are known are as many. */
  remember(values: readonly Value[], object: T): void {
    if (values.some((value) => typeof value === "string" && value.length > TEXT_MAX)) return;
    if (this.#size >= knownMax) {
      this.#root = undefined;
      this.#size = 0;
    }
    this.#size++;
    const end: Node<T> = { position: -1, below: undefined, values: [...values], object };
    this.#root = this.#root === undefined ? end : this.#under(this.#root, end);
  }

  /** What stands in the place of `node` once `end` is below it too. */
  #under(root: Node<T>, end: Node<T>): Node<T> {
    let node = root;
    let above: Node<T> | undefined;
    while (node.position !== -1) {
      const next = node.below!.get(end.values[node.position]!);
      if (next === undefined) {
        node.below!.set(end.values[node.position]!, end);
        return root;
      }
      above = node;
      node = next;
    }
    const branch = branchOf(node, end);
    if (above === undefined) return branch;
    above.below!.set(end.values[above.position]!, branch);
    return root;
  }
}

function branchOf<T>(one: Node<T>, other: Node<T>): Node<T> {
  const position = one.values.findIndex((value, i) => value !== other.values[i]);
  const below = new Map([one, other].map((end) => [end.values[position]!, end]));
  return { position, below, values: [], object: undefined };
}
