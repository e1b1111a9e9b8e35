/**
 * JSON from strangers: one object, in UTF-8 without a mark, of bounded depth, no name twice in an
 * object at any depth. Parsers differ in which of two they take, and the one who verifies must not
 * read another claim than the one who believes it (RFC 7519 4).
 */
export type JsonObject = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/** Undefined: it is none. */
export function parseStrictJson(octets: Uint8Array, depthMax: number): JsonObject | undefined {
  try {
    const text = decoder.decode(octets);
    if (!isSound(text, depthMax)) return undefined;
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Only what the object itself has: nobody gets a claim by being an object. */
export function memberOf(from: JsonObject, name: string): unknown {
  return Object.hasOwn(from, name) ? from[name] : undefined;
}

/** Nesting and names alone: whether the rest is JSON is the parser's to say. */
function isSound(text: string, depthMax: number): boolean {
  /** Of the objects around, from the outside in; undefined: a list. */
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfText(text, at);
      let next = end;
      while (isSpace(text.charCodeAt(next))) next++;
      if (text.charCodeAt(next) === COLON) {
        const names = open[open.length - 1];
        const name = nameOf(text.slice(at, end));
        if (names === undefined || names.has(name)) return false;
        names.add(name);
      }
      at = next;
      continue;
    }
    if (code === 0x7b) open.push(new Set());
    else if (code === 0x5b) open.push(undefined);
    else if (code === 0x7d || code === 0x5d) open.pop();
    if (open.length > depthMax) return false;
    at++;
  }
  return true;
}

/** Past the closing quote. */
function endOfText(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    if (code === BACKSLASH) at++;
  }
  return text.length;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** Of a text with its quotes: a name may be written in several ways. Throws as JSON.parse does. */
function nameOf(written: string): string {
  return written.includes("\\") ? (JSON.parse(written) as string) : written.slice(1, -1);
}
