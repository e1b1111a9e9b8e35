/** Series that adapters count as text, of several threads: one text with the sums. */
import type { TextFamily } from "../../telemetry/prometheus.ts";

interface Sum {
  readonly family: TextFamily;
  readonly series: Map<string, string>;
}

/** Families by name; those of another type than the first of the name are left out. */
export function mergeFamilies(threads: readonly (readonly TextFamily[])[]): TextFamily[] {
  const sums = new Map<string, Sum>();
  for (const family of threads.flat()) {
    let sum = sums.get(family.name);
    if (sum === undefined) {
      sum = { family, series: new Map() };
      sums.set(family.name, sum);
    }
    if (sum.family.type !== family.type) continue;
    for (const [labels, lines] of family.series) {
      const known = sum.series.get(labels);
      sum.series.set(labels, known === undefined ? lines : addLines(known, lines));
    }
  }
  return Array.from(sums.values(), ({ family, series }) => ({ ...family, series }));
}

/** Lines of the same samples, each a name and a value. */
function addLines(a: string, b: string): string {
  const values = new Map(b.split("\n").map(splitSample));
  return a
    .split("\n")
    .map(splitSample)
    .map(([name, value]) => `${name} ${value + (values.get(name) ?? 0)}`)
    .join("\n");
}

function splitSample(line: string): readonly [name: string, value: number] {
  const space = line.lastIndexOf(" ");
  return [line.slice(0, space), Number(line.slice(space + 1))];
}
