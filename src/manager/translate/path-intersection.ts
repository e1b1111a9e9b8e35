/**
 * The paths that an ingress and a route rule of its destination both mean, as one condition. Where
 * two conditions share paths and no single condition says which, they are taken to share none: what
 * is let in from outside is what somebody wrote. Spec table: manager 1.9.
 */
import { RE2JS } from "re2js";
import type { PathMatch } from "../../model/ingress.ts";

/** Absent in the arguments: any path. Null: none in common. */
export function intersectPaths(
  a: PathMatch | undefined,
  b: PathMatch | undefined,
): PathMatch | undefined | null {
  if (a === undefined || isEveryPath(a)) return b !== undefined && isEveryPath(b) ? a : b;
  if (b === undefined || isEveryPath(b)) return a;
  if (a.kind === "exact") return contains(b, a.value) ? a : null;
  if (b.kind === "exact") return contains(a, b.value) ? b : null;
  if (a.kind === "regex" || b.kind === "regex")
    return a.kind === b.kind && a.value === b.value ? a : null;
  if (isWithin(a, b)) return a;
  return isWithin(b, a) ? b : null;
}

function isEveryPath({ kind, value }: PathMatch): boolean {
  return kind === "prefix" && (value === "/" || value === "");
}

function contains(match: PathMatch, path: string): boolean {
  switch (match.kind) {
    case "exact":
      return path === match.value;
    case "prefix":
      return path.startsWith(match.value);
    case "segmentPrefix":
      return path === match.value || path.startsWith(`${match.value}/`);
    case "regex":
      return RE2JS.compile(match.value).matches(path);
  }
}

/** Of two kinds of prefix: whether every path of `a` is one of `b`. */
function isWithin(a: PathMatch, b: PathMatch): boolean {
  if (b.kind === "prefix") return a.value.startsWith(b.value);
  if (a.kind === "segmentPrefix" && a.value === b.value) return true;
  return a.value.startsWith(`${b.value}/`);
}

/**
 * The rewritten path of a route whose prefix became the longer `now`: what was behind the old
 * prefix is still behind the new one. Undefined: no rewrite says the same.
 */
export function rewriteFor(
  uri: string,
  old: PathMatch | undefined,
  now: PathMatch | undefined,
): string | undefined {
  const prefix = old === undefined ? "/" : old.kind === "prefix" ? old.value : undefined;
  if (prefix === undefined || now === undefined) return uri;
  if (now.kind === "regex") return undefined;
  const rest = now.value.slice(prefix.length);
  return uri.endsWith("/") && rest.startsWith("/") ? uri + rest.slice(1) : uri + rest;
}
