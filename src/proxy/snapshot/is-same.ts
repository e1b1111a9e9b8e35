/**
 * Whether two resources have the same content. Messages are plain data (objects, arrays, texts,
 * numbers), so this is structural; the reflective comparison of the protobuf library costs several
 * times as much, and each push compares everything that a proxy knows.
 */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!isSame(a[i], b[i])) return false;
    return true;
  }
  if (!isFields(a) || !isFields(b) || Array.isArray(b)) return Number.isNaN(a) && Number.isNaN(b);
  let fields = 0;
  for (const name in a) {
    if (!isSame(a[name], b[name])) return false;
    fields++;
  }
  for (const _ in b) fields--;
  return fields === 0;
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
