/**
 * The labels that a join token binds, as it says them itself: so that a proxy that joins by it need
 * not be told them again. What counts is what the manager has kept of it.
 *
 *   mesh1.<id>.<secret>.<root>[.<labels>]   labels: base64url of [["app","reviews"],…]
 */
type Labels = Readonly<Record<string, string>>;

/** Characters, all of them together. */
export const TOKEN_LABELS_MAX = 2_048;

const TOKEN_MAX = 512 + TOKEN_LABELS_MAX;

/** "" for none. */
export function encodeTokenLabels(labels: Labels): string {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return pairs.length === 0 ? "" : Buffer.from(JSON.stringify(pairs)).toString("base64url");
}

/** `token`: without labels. */
export function withTokenLabels(token: string, labels: Labels): string {
  const part = encodeTokenLabels(labels);
  return part === "" ? token : `${token}.${part}`;
}

/** The same token; what has another form is left as it is. */
export function withoutTokenLabels(token: string): string {
  if (token.length > TOKEN_MAX) return token;
  const parts = token.trim().split(".");
  return parts.length === 5 && parts[4] !== "" ? parts.slice(0, 4).join(".") : token;
}

/** None of what is no such token. */
export function labelsOfToken(token: string): Labels {
  const [kind, , , , part = "", ...others] = token.trim().split(".");
  if (kind !== "mesh1" || part === "" || part.length > TOKEN_LABELS_MAX || others.length > 0)
    return {};
  try {
    const said: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return isPairs(said) ? Object.fromEntries(said) : {};
  } catch {
    return {};
  }
}

function isPairs(said: unknown): said is [string, string][] {
  return Array.isArray(said) && said.every(isPair);
}

function isPair(said: unknown): boolean {
  return Array.isArray(said) && said.length === 2 && said.every((text) => typeof text === "string");
}
