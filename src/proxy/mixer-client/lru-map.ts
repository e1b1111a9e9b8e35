/**
 * A bounded map by text that forgets what was used longest ago. A hit moves one entry to the front
 * of a linked list: no entry is deleted and set again, so a hit costs the same at any size.
 */
interface Node<V> {
  readonly key: string;
  value: V;
  weight: number;
  /** Used later than this one. */
  newer: Node<V> | undefined;
  older: Node<V> | undefined;
}

export class LruMap<V> {
  readonly #nodes = new Map<string, Node<V>>();
  readonly #entriesMax: number;
  readonly #weightMax: number;
  #weight = 0;
  #newest: Node<V> | undefined;
  #oldest: Node<V> | undefined;
  /** How many were forgotten to make room. */
  evictions = 0;

  /** `entriesMax` 0: it keeps nothing. `weightMax`: of all entries together. */
  constructor(entriesMax: number, weightMax = Number.POSITIVE_INFINITY) {
    this.#entriesMax = entriesMax;
    this.#weightMax = weightMax;
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** Counts as a use. */
  get(key: string): V | undefined {
    const node = this.#nodes.get(key);
    if (node === undefined) return undefined;
    if (node !== this.#newest) {
      this.#unlink(node);
      this.#link(node);
    }
    return node.value;
  }

  set(key: string, value: V, weight = 1): void {
    this.delete(key);
    if (this.#entriesMax === 0 || weight > this.#weightMax) return;
    while (this.#nodes.size >= this.#entriesMax || this.#weight + weight > this.#weightMax) {
      this.deleteOldest();
      this.evictions++;
    }
    const node: Node<V> = { key, value, weight, newer: undefined, older: undefined };
    this.#nodes.set(key, node);
    this.#weight += weight;
    this.#link(node);
  }

  delete(key: string): void {
    const node = this.#nodes.get(key);
    if (node === undefined) return;
    this.#nodes.delete(key);
    this.#weight -= node.weight;
    this.#unlink(node);
  }

  clear(): void {
    this.#nodes.clear();
    this.#weight = 0;
    this.#newest = undefined;
    this.#oldest = undefined;
  }

  /** What was used longest ago; undefined: it is empty. No use of it. */
  get oldest(): V | undefined {
    return this.#oldest?.value;
  }

  deleteOldest(): void {
    if (this.#oldest !== undefined) this.delete(this.#oldest.key);
  }

  #link(node: Node<V>): void {
    node.newer = undefined;
    node.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = node;
    this.#newest = node;
    this.#oldest ??= node;
  }

  #unlink(node: Node<V>): void {
    if (node.newer !== undefined) node.newer.older = node.older;
    else this.#newest = node.older;
    if (node.older !== undefined) node.older.newer = node.newer;
    else this.#oldest = node.newer;
  }
}
