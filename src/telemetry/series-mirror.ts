/**
 * What one thread knows of another one's registry: the names of its series, told as they come and
 * go, beside the memory in which it counts. So a scrape asks nobody and stops nobody.
 *
 *   its thread: series made ──change──▶ mirror        counting ──▶ shared memory ◀── view()
 *               series gone ──change──▶ mirror ──▶ forgotten: only now is the slot used again
 */
import type { FamilyView, MetricKind, MetricsView, SeriesChange } from "./metrics.ts";

/** Where a series was that is gone. */
export interface GoneSeries {
  readonly kind: MetricKind;
  readonly slot: number;
}

interface MirroredFamily extends Omit<FamilyView, "series"> {
  /** Slots by labels. */
  readonly slots: Map<string, number>;
}

export class SeriesMirror {
  readonly #values: Float64Array;
  readonly #families = new Map<string, MirroredFamily>();

  constructor(memory: SharedArrayBuffer) {
    this.#values = new Float64Array(memory);
  }

  /** In the order in which they happened. Returns what is to be told to the registry. */
  apply(changes: readonly SeriesChange[]): GoneSeries[] {
    const gone: GoneSeries[] = [];
    for (const change of changes) {
      if (change.at === "made") this.#familyOf(change.family).slots.set(change.labels, change.slot);
      else {
        const { name, labels, kind, slot } = change;
        const family = this.#families.get(name);
        family?.slots.delete(labels);
        if (family?.slots.size === 0) this.#families.delete(name);
        gone.push({ kind, slot });
      }
    }
    return gone;
  }

  /** As the registry's own. */
  view(): MetricsView {
    const families = Array.from(this.#families.values(), ({ slots, ...family }) => ({
      ...family,
      series: Array.from(slots, ([labels, slot]) => ({ labels, slot })),
    }));
    return { values: this.#values, families };
  }

  #familyOf(family: Omit<FamilyView, "series">): MirroredFamily {
    let known = this.#families.get(family.name);
    if (known === undefined) {
      known = { ...family, slots: new Map() };
      this.#families.set(family.name, known);
    }
    return known;
  }
}
