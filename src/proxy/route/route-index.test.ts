/** The first route that matches wins, however many there are. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { MessageHead } from "../../http/message-head.ts";
import { head } from "../../testing/snapshot-sample.ts";
import { encode } from "./byte-range.ts";
import { compilePattern } from "./pattern.ts";
import type { Route } from "./route.ts";
import { RouteCondition } from "./route-condition.ts";
import { RouteIndex } from "./route-index.ts";
import { StringMatcher, type StringMatcherKind } from "./string-matcher.ts";

interface Asked {
  readonly path?: readonly [kind: StringMatcherKind, key: string, ignoresCase?: boolean];
  readonly user?: string;
}

function matcher([kind, key, ignoresCase = false]: NonNullable<Asked["path"]>): StringMatcher {
  const pattern = kind === "regex" ? compilePattern(key, ignoresCase) : undefined;
  if (typeof pattern === "string") throw new Error(pattern);
  return new StringMatcher(kind, encode(key), ignoresCase, pattern);
}

function condition({ path, user }: Asked): RouteCondition {
  const fields =
    user === undefined
      ? []
      : [{ name: encode("user"), value: matcher(["exact", user]), invert: false }];
  return new RouteCondition({
    path: path && matcher(path),
    method: undefined,
    scheme: undefined,
    authority: undefined,
    fields,
    parameters: [],
  });
}

function route(name: string): Route {
  return {
    name,
    origin: "",
    action: { at: "direct", direct: { status: 200, body: encode("") } },
    rewrite: undefined,
    timeoutMs: 0,
    timeoutIsDefault: false,
    retry: undefined,
    fault: undefined,
    mirror: undefined,
    cors: undefined,
    requestFields: encode(""),
    websocket: false,
  };
}

/** Indexed whatever its size, or one by one. */
function routes(asked: readonly Asked[], kind: "indexed" | "linear"): RouteIndex {
  const all = asked.map((_, i) => route(String(i)));
  return new RouteIndex(all, asked.map(condition), kind === "indexed" ? 0 : asked.length);
}

function chosen(index: RouteIndex, request: MessageHead): number {
  return Number(index.match(request, false)?.name ?? -1);
}

describe("among routes", () => {
  const asked: readonly Asked[] = [
    { path: ["exact", "/a"], user: "jason" }, // 0
    { path: ["prefix", "/a"], user: "eve" }, // 1
    { path: ["exact", "/a"] }, // 2
    { path: ["segment-prefix", "/a/b"] }, // 3
    { path: ["regex", "/a/[0-9]+"] }, // 4
    { path: ["prefix", "/a/"] }, // 5
    { path: ["exact", "/CASE", true] }, // 6
    { user: "anybody" }, // 7
    { path: ["segment-prefix", ""], user: "root" }, // 8
    { path: ["exact", "/"] }, // 9
    { path: ["prefix", "/long/path"] }, // 10
    { path: ["prefix", "/long"] }, // 11
    { path: ["prefix", "/long/path/longer"] }, // 12
  ];
  // biome-ignore format: a table reads as a table
  const rows: readonly [line: string, user: string, route: number][] = [
    ["GET /a",             "jason",   0],
    ["GET /a?b",           "jason",   0],
    ["GET /a",             "eve",     1],
    ["GET /abc",           "eve",     1],
    ["GET /a",             "",        2],
    ["GET /abc",           "",       -1],
    ["GET /a/b",           "",        3],
    ["GET /a/b/c",         "",        3],
    ["GET /a/bc",          "",        5],
    ["GET /a/17",          "",        4],
    ["GET /a/17/x",        "",        5],
    ["GET /case",          "",        6],
    ["GET /x",             "anybody", 7],
    ["GET /x",             "root",    8],
    ["GET /",              "",        9],
    ["GET http://reviews", "",        9],
    ["GET http://reviews?q", "root",  8],
    ["GET /long/path/longer", "",     10],
    ["GET /long",          "",        11],
    ["GET /longer",        "",        11],
    ["GET /lon",           "",       -1],
    ["OPTIONS *",          "",       -1],
    ["OPTIONS *",          "anybody", 7],
  ];
  for (const kind of ["indexed", "linear"] as const) {
    const index = routes(asked, kind);
    for (const [line, user, expected] of rows)
      test(`${kind}: ${line} of ${user || "nobody"} takes route ${expected}`, () => {
        expect(chosen(index, head(line, `User: ${user}`))).toBe(expected);
      });
  }
});

test("an index chooses what trying one route after another would choose", () => {
  const path = fc
    .array(fc.constantFrom("/", "a", "b", "/a", "/b", "A"), { maxLength: 5 })
    .map((pieces) => `/${pieces.join("")}`);
  const kind = fc.constantFrom<StringMatcherKind>("exact", "prefix", "segment-prefix", "regex");
  const wanted = fc.record(
    {
      path: fc.tuple(kind, path, fc.boolean()),
      user: fc.constantFrom("1", "2"),
    },
    { requiredKeys: [] },
  );
  const request = fc.tuple(path, fc.constantFrom("1", "2", "3"));
  fc.assert(
    fc.property(
      fc.array(wanted as fc.Arbitrary<Asked>, { maxLength: 30 }),
      fc.array(request, { minLength: 1, maxLength: 10 }),
      (asked, requests) => {
        const trimmed = asked.map(withoutTrailingSlash);
        const indexed = routes(trimmed, "indexed");
        const linear = routes(trimmed, "linear");
        for (const [target, user] of requests) {
          const sent = head(`GET ${target}`, `user: ${user}`);
          expect(chosen(indexed, sent)).toBe(chosen(linear, sent));
        }
      },
    ),
    { numRuns: 400, verbose: 1 },
  );
});

/** As the compiler makes segment prefixes. */
function withoutTrailingSlash(asked: Asked): Asked {
  if (asked.path?.[0] !== "segment-prefix") return asked;
  return { ...asked, path: [asked.path[0], asked.path[1].replace(/\/+$/, ""), asked.path[2]!] };
}

test("a path longer than any key costs no more than the keys are long", () => {
  const index = routes([{ path: ["prefix", "/a"] }, { path: ["exact", "/b"] }], "indexed");
  expect(chosen(index, head(`GET /a${"x".repeat(7_000)}`))).toBe(0);
  expect(chosen(index, head(`GET /b${"x".repeat(7_000)}`))).toBe(-1);
});

test("a key too long for the index is still found, in its order", () => {
  const long = `/${"l".repeat(2_000)}`;
  const index = routes([{ path: ["prefix", long] }, { path: ["prefix", "/"] }], "indexed");
  expect(chosen(index, head(`GET ${long}/x`))).toBe(0);
  expect(chosen(index, head("GET /l"))).toBe(1);
});
