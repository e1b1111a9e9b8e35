/** A choice between clusters by weight: one random number, compared with cumulative thresholds. */
import type { Cluster } from "../cluster/cluster.ts";

export interface WeightedCluster {
  readonly cluster: Cluster;
  readonly weight: number;
}

export class WeightedClusters {
  /** As configured, without those of weight 0. */
  readonly entries: readonly WeightedCluster[];
  readonly #thresholds: readonly number[];
  readonly #total: number;

  /** At least one entry has a weight above 0. */
  constructor(entries: readonly WeightedCluster[]) {
    this.entries = entries.filter(({ weight }) => weight > 0);
    let total = 0;
    this.#thresholds = this.entries.map(({ weight }) => {
      total += weight;
      return total;
    });
    this.#total = total;
  }

  /** `random` is in [0, 1). */
  choose(random: number): Cluster {
    const entries = this.entries;
    const last = entries.length - 1;
    const at = random * this.#total;
    for (let i = 0; i < last; i++) if (at < this.#thresholds[i]!) return entries[i]!.cluster;
    return entries[last]!.cluster;
  }
}
