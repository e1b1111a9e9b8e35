/**
 * Templates of paths: "{*}" is one segment, "{**}" is anything, once. "/a/{*}/c" is "/a/b/c" and
 * not "/a/c"; "/a/{**}" is "/a/" and "/a/b/c" and not "/a"; "/{**}/c" is "/a/b/c". A path is walked
 * once from each end, so that no path is slow.
 */
import type { TextTest } from "./text-pattern.ts";

const SLASH = 0x2f;
const ANY_SEGMENT = "{*}";
const ANYTHING = "{**}";

export function isPathTemplate(text: string): boolean {
  return text.includes(ANY_SEGMENT) || text.includes(ANYTHING);
}

/** What is wrong with it; undefined: nothing. */
export function checkPathTemplate(text: string): string | undefined {
  if (!text.startsWith("/")) return "a template begins with /";
  let anything = 0;
  for (const segment of text.split("/")) {
    if (segment === ANYTHING) anything++;
    else if (segment === ANY_SEGMENT) {
      if (anything > 0) return "{**} is the last of the operators";
    } else if (/[{}*]/.test(segment)) return "an operator, {*} or {**}, is a whole segment";
  }
  return anything > 1 ? "{**} may come once" : undefined;
}

/** For one that checkPathTemplate has nothing against. */
export function compilePathTemplate(text: string): TextTest {
  const at = text.indexOf(ANYTHING);
  if (at === -1) {
    const pieces = piecesOf(text);
    return (path) => walk(pieces, path) === path.length;
  }
  const before = piecesOf(text.slice(0, at));
  const tail = text.slice(at + ANYTHING.length);
  return (path) => {
    const from = walk(before, path);
    return from !== -1 && path.length - tail.length >= from && path.endsWith(tail);
  };
}

/** What every path of it begins with. */
export function literalPrefixOf(template: string): string {
  return template.slice(0, template.indexOf("{"));
}

/** Literal texts with one segment between each two; "" stands at the ends where there is none. */
function piecesOf(text: string): readonly string[] {
  return text.split(ANY_SEGMENT);
}

/** How far the pieces go; -1: they do not fit. */
function walk(pieces: readonly string[], path: string): number {
  let at = 0;
  for (let i = 0; i < pieces.length; i++) {
    if (i > 0) {
      const start = at;
      while (at < path.length && path.charCodeAt(at) !== SLASH) at++;
      if (at === start) return -1;
    }
    const piece = pieces[i]!;
    if (!path.startsWith(piece, at)) return -1;
    at += piece.length;
  }
  return at;
}
