/** What an ingress lets in and a route rule speaks of, as rows: both conditions, and the one. */
import { expect, test } from "bun:test";
import type { PathMatch } from "../../model/ingress.ts";
import { intersectPaths, rewriteFor } from "./path-intersection.ts";

/** "=/a" exact, "/a*" prefix, "/a/…" of segments, "~/a.*" regex, "" any. */
function match(text: string): PathMatch | undefined {
  if (text === "") return undefined;
  if (text.startsWith("=")) return { kind: "exact", value: text.slice(1) };
  if (text.startsWith("~")) return { kind: "regex", value: text.slice(1) };
  if (text.endsWith("*")) return { kind: "prefix", value: text.slice(0, -1) };
  return { kind: "segmentPrefix", value: text.slice(0, -2) };
}

test.each([
  ["", "", ""],
  ["", "/*", ""],
  ["/*", "", ""],
  ["", "=/a", "=/a"],
  ["/a*", "/*", "/a*"],
  ["~/a.*", "/*", "~/a.*"],
  ["/a/…", "", "/a/…"],
  ["=/a", "=/a", "=/a"],
  ["=/a", "=/b", "none"],
  ["=/ab", "/a*", "=/ab"],
  ["=/b", "/a*", "none"],
  ["=/a", "/a/…", "=/a"],
  ["=/a/b", "/a/…", "=/a/b"],
  ["=/ab", "/a/…", "none"],
  ["=/ab", "~/a.", "=/ab"],
  ["=/abc", "~/a.", "none"],
  ["/a*", "/ab*", "/ab*"],
  ["/a*", "/b*", "none"],
  ["/a/…", "/a*", "/a/…"],
  ["/ab/…", "/a*", "/ab/…"],
  ["/a/…", "/a/b*", "/a/b*"],
  ["/a/…", "/ab*", "none"],
  ["/a/…", "/a/…", "/a/…"],
  ["/a/…", "/a/b/…", "/a/b/…"],
  ["/a/…", "/ab/…", "none"],
  ["~/a.*", "~/a.*", "~/a.*"],
  ["~/a.*", "~/b.*", "none"],
  ["~/a.*", "/a*", "none"],
])("%p and %p are %p, either way round", (a, b, want) => {
  const expected = want === "none" ? null : match(want);
  expect(intersectPaths(match(a), match(b))).toEqual(expected);
  expect(intersectPaths(match(b), match(a))).toEqual(expected);
});

test.each([
  ["/v2", "/a*", "/a*", "/v2"],
  ["/v2", "/a*", "/a/b*", "/v2/b"],
  ["/v2/", "/a/*", "/a/b*", "/v2/b"],
  ["/", "/a*", "=/a/b", "/b"],
  ["/v2", "=/a", "=/a", "/v2"],
  ["/v2/", "", "/a/…", "/v2/a"],
  ["/v2", "/*", "", "/v2"],
  ["/v2", "/*", "~/a.*", undefined],
])("rewriting to %p what was %p and is %p writes %p", (uri, old, now, want) => {
  expect(rewriteFor(uri, match(old), match(now))).toBe(want);
});
