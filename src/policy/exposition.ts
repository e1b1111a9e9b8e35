/**
 * What adapters offer to a scrape, put together: families by name, whoever they come from. The
 * process's own metrics are telemetry/'s; an endpoint writes both.
 */
export interface ExposedFamily {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Text by what names the series: labels in braces. In order; without an end of line. */
  readonly series: ReadonlyMap<string, string>;
}

/** The same in figures, for who adds them up. */
export interface MeasuredFamily extends Omit<ExposedFamily, "series"> {
  readonly labelNames: readonly string[];
  /** Upper bounds of a histogram, rising, without infinity. */
  readonly bounds: readonly number[];
  /** Each is one object from its first sample until it expires. */
  readonly samples: Iterable<MeasuredSeries>;
}

export interface MeasuredSeries {
  /** In the order of the label names; undefined: the series that stands for too many. */
  readonly values: readonly string[] | undefined;
  /** `a="b",c="d"`, or nothing. */
  readonly labels: string;
  readonly value: number;
  /** Of a histogram: how many fell into each bucket, the one without a bound last. */
  readonly counts: readonly number[];
  readonly usedMs: number;
}

export class Exposition {
  readonly #sources = new Set<() => readonly ExposedFamily[]>();
  readonly #measured = new Set<() => readonly MeasuredFamily[]>();
  /** Told of figures that are there for the last time. */
  onWithdrawn: ((families: readonly MeasuredFamily[]) => void) | undefined;

  /** Asked at each scrape, until the returned function is called. */
  add(
    source: () => readonly ExposedFamily[],
    measured?: () => readonly MeasuredFamily[],
  ): () => void {
    this.#sources.add(source);
    if (measured !== undefined) this.#measured.add(measured);
    return () => {
      this.#sources.delete(source);
      if (measured === undefined || !this.#measured.delete(measured)) return;
      this.onWithdrawn?.(measured());
    };
  }

  /** Those of sources that have figures. */
  measured(): readonly MeasuredFamily[] {
    return [...this.#measured].flatMap((measured) => measured());
  }

  /** What all sources offer now. */
  families(): readonly ExposedFamily[] {
    return [...this.#sources].flatMap((source) => source());
  }

  /**
   * Prometheus text, 0.0.4. Of families with one name but different types, and of series with one
   * name and the same labels, the first counts: twice would make the whole text invalid.
   */
  text(): string {
    const families = new Map<string, { of: ExposedFamily; series: Map<string, string> }>();
    for (const source of this.#sources)
      for (const family of source()) {
        const known = families.get(family.name);
        if (known === undefined)
          families.set(family.name, { of: family, series: new Map(family.series) });
        else if (known.of.type === family.type)
          for (const [labels, lines] of family.series)
            if (!known.series.has(labels)) known.series.set(labels, lines);
      }
    let text = "";
    for (const [name, { of, series }] of [...families].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (series.size === 0) continue;
      text += `# HELP ${name} ${escapeHelp(of.help)}\n# TYPE ${name} ${of.type}\n`;
      for (const labels of [...series.keys()].sort()) text += `${series.get(labels)}\n`;
    }
    return text;
  }
}

function escapeHelp(help: string): string {
  return help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

/** As Prometheus writes numbers, and Go's %g: 1e+06, 0.005, +Inf. */
export function sampleText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e6) return String(value);
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}
