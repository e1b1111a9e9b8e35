/**
 * "Did you mean …?": the nearest of some known words, if it is near enough that a slip of the
 * fingers explains it.
 */

/** Undefined where none is near. A beginning counts as near: "prec" ─▶ "precedence". */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const lower = word.slice(0, 64).toLowerCase();
  let best: string | undefined;
  let least = slips(lower.length) + 1;
  for (const candidate of known) {
    const other = candidate.toLowerCase();
    const begins = lower.length >= 2 && other.startsWith(lower);
    const distance = begins ? 1 : editDistance(lower, other);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** Of a short word two wrong letters are half of it. */
function slips(length: number): number {
  if (length < 5) return Math.min(1, Math.floor(length / 2));
  return Math.max(2, Math.floor(length / 3));
}

export function didYouMean(word: string, known: Iterable<string>): string | undefined {
  const found = nearest(word, known);
  return found === undefined ? undefined : `did you mean ${found}?`;
}

/** Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}
