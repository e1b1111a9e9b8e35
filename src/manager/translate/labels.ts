/** Labels as sets of pairs: subset, equality, and one spelling for names and cache keys. */
export type Labels = Readonly<Record<string, string>>;

/** The empty set is a subset of every set. */
export function isSubset(labels: Labels, of: Labels): boolean {
  for (const key in labels) if (labels[key] !== of[key]) return false;
  return true;
}

export function equalLabels(a: Labels, b: Labels): boolean {
  return isSubset(a, b) && isSubset(b, a);
}

/** "app=reviews,version=v1": sorted by key; a key alone where its value is empty. */
export function formatLabels(labels: Labels): string {
  return Object.keys(labels)
    .sort()
    .map((key) => (labels[key] === "" ? key : `${key}=${labels[key]}`))
    .join(",");
}

/** Equal content gives equal bytes in a message, whatever order it was written in. */
export function sortedLabels(labels: Labels): Record<string, string> {
  const sorted: Record<string, string> = {};
  for (const key of Object.keys(labels).sort()) sorted[key] = labels[key] ?? "";
  return sorted;
}
