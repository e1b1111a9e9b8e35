/** What an operator's conditions hold for, on real request heads. */
import { describe, expect, test } from "bun:test";
import { head, published } from "../../testing/snapshot-sample.ts";

type Match = Readonly<Record<string, unknown>>;

/** Whether a route with these conditions is taken by the request. */
function holds(match: Match, request: readonly string[]): boolean {
  const snapshot = published({
    clusters: [{ name: "c" }],
    virtualHosts: [
      {
        name: "reviews",
        domains: ["*"],
        routes: [
          { match: JSON.parse(JSON.stringify(match)), forward: { clusters: [{ cluster: "c" }] } },
        ],
      },
    ],
  });
  return (
    snapshot.virtualHosts[0]!.match(head(request[0]!, ...request.slice(1)), false) !== undefined
  );
}

const field = (name: string, value: unknown, invert = false): Match => ({
  headers: [{ name, value, invert }],
});
const user = (value: unknown, invert = false): Match => field("x-user", value, invert);
const ofJason = { regex: "^(.*?;)?(user=jason)(;.*)?$" };
const path = (value: unknown): Match => ({ path: value });
const authority = (value: unknown): Match => ({ authority: value });
const twoFields: Match = {
  headers: [
    { name: "a", value: { exact: "1" } },
    { name: "b", value: { exact: "2" } },
  ],
};
const page = (value: unknown, invert = false): Match => query("page", value, invert);
const query = (name: string, value: unknown, invert = false): Match => ({
  queryParams: [{ name, value, invert }],
});

// biome-ignore format: a table reads as a table
const rows: readonly [what: string, match: Match, request: string, holds: boolean][] = [
  ["no condition", {}, "GET /", true],
  ["exact path", path({ exact: "/a" }), "GET /a", true],
  ["exact path, with a query", path({ exact: "/a" }), "GET /a?b=c", true],
  ["exact path, more", path({ exact: "/a" }), "GET /a/", false],
  ["exact path, other case", path({ exact: "/a" }), "GET /A", false],
  ["exact path, case ignored", path({ exact: "/aB", ignoreCase: true }), "GET /Ab", true],
  ["prefix", path({ prefix: "/foo" }), "GET /foobar", true],
  ["prefix, longer than the path", path({ prefix: "/foo" }), "GET /fo", false],
  ["prefix that goes on in the query", path({ prefix: "/foo?x" }), "GET /foo?x", false],
  ["prefix, only in the query", path({ prefix: "/foo" }), "GET /?/foo", false],
  ["prefix, case ignored", path({ prefix: "/FOO", ignoreCase: true }), "GET /foobar", true],
  ["segment prefix, itself", path({ segmentPrefix: "/foo" }), "GET /foo", true],
  ["segment prefix, below", path({ segmentPrefix: "/foo" }), "GET /foo/x", true],
  ["segment prefix, inside a word", path({ segmentPrefix: "/foo" }), "GET /foobar", false],
  ["segment prefix with a slash", path({ segmentPrefix: "/foo/" }), "GET /foo", true],
  ["segment prefix / is anything", path({ segmentPrefix: "/" }), "GET /x", true],
  ["regex matches the whole path", path({ regex: "/a[0-9]+" }), "GET /a12", true],
  ["regex, not a part of it", path({ regex: "/a[0-9]+" }), "GET /a12/b", false],
  ["regex with alternatives", path({ regex: "/a|/b" }), "GET /bc", false],
  ["regex, with a query", path({ regex: "/a" }), "GET /a?x", true],
  ["regex, case ignored", path({ regex: "/[a-c]+", ignoreCase: true }), "GET /ABC", true],
  ["method", { method: { exact: "PUT" } }, "PUT /", true],
  ["method, other", { method: { exact: "PUT" } }, "POST /", false],
  ["method, unknown to HTTP", { method: { exact: "BREW" } }, "BREW /", true],
  ["scheme http", { scheme: { exact: "http" } }, "GET /", true],
  ["scheme https", { scheme: { exact: "https" } }, "GET /", false],
  ["scheme of the target", { scheme: { exact: "https" } }, "GET https://reviews/", true],
  ["authority", authority({ exact: "reviews:9080" }), "GET /\nHost: reviews:9080", true],
  ["authority in another case", authority({ exact: "reviews" }), "GET /\nHost: REVIEWS", true],
  ["authority, prefix", authority({ prefix: "rev" }), "GET /\nHost: reviews", true],
  ["authority, where there is none", authority({ regex: ".*" }), "GET / HTTP/1.0", false],
  ["authority, other", authority({ exact: "ratings" }), "GET /\nHost: reviews", false],
  ["header", user({ exact: "jason" }), "GET /\nX-User: jason", true],
  ["header, value in another case", user({ exact: "jason" }), "GET /\nX-User: Jason", false],
  ["header, name written upper", field("X-User", { exact: "jason" }), "GET /\nx-user: jason", true],
  ["header, absent", user({ exact: "jason" }), "GET /", false],
  ["header, prefix", user({ prefix: "ja" }), "GET /\nX-User: jason", true],
  ["header, regex", field("cookie", ofJason), "GET /\nCookie: a=b;user=jason;c", true],
  ["header, regex, other", field("cookie", ofJason), "GET /\nCookie: user=jasonx", false],
  ["header, there", user({ present: true }), "GET /\nX-User:", true],
  ["header, there, absent", user({ present: true }), "GET /", false],
  ["header, not there", user({ present: false }), "GET /", true],
  ["header, not there, but is", user({ present: false }), "GET /\nX-User: a", false],
  ["header without a value asked", user({}), "GET /\nX-User: a", true],
  ["header, inverted", user({ exact: "jason" }, true), "GET /\nX-User: eve", true],
  ["header, inverted, equal", user({ exact: "jason" }, true), "GET /\nX-User: jason", false],
  ["header, inverted, absent", user({ exact: "jason" }, true), "GET /", true],
  ["header twice, the second", user({ exact: "b" }), "GET /\nX-User: a\nx-user: b", true],
  ["header twice, joined", user({ exact: "a,b" }), "GET /\nX-User: a\nx-user: b", true],
  ["header twice, neither", user({ exact: "c" }), "GET /\nX-User: a\nx-user: b", false],
  ["agent twice", field("user-agent", { exact: "b" }), "GET /\nUser-Agent: a\nuser-agent: b", true],
  ["joined", field("user-agent", { exact: "a,b" }), "GET /\nUser-Agent:a\nuser-agent:b", true],
  ["header host", field("host", { exact: "reviews" }), "GET /", true],
  ["two headers, one missing", twoFields, "GET /\na: 1", false],
  ["two headers, both", twoFields, "GET /\nb: 2\na: 1", true],
  ["query", page({ exact: "2" }), "GET /?a&page=2", true],
  ["query, other value", page({ exact: "2" }), "GET /?page=22", false],
  ["query, name inside another", page({ exact: "2" }), "GET /?xpage=2", false],
  ["query, the first counts", page({ exact: "2" }), "GET /?page=1&page=2", false],
  ["query, there without value", page({ present: true }), "GET /?x=1&page", true],
  ["query, empty value", page({ exact: "" }), "GET /?page=&x", true],
  ["query, none at all", page({ present: true }), "GET /", false],
  ["query, case counts", page({ present: true }), "GET /?Page=1", false],
  ["query, value with =", query("q", { exact: "a=b" }), "GET /?q=a=b", true],
  ["query, regex", page({ regex: "[0-9]+" }), "GET /?page=12", true],
  ["query, inverted", page({ present: true }, true), "GET /?x", true],
  ["query, empty string", page({ present: true }), "GET /?", false],
];

describe("a route's condition", () => {
  for (const [what, match, request, expected] of rows)
    test(`${what}: ${request.replaceAll("\n", ", ")}`, () => {
      expect(holds(match, request.split("\n"))).toBe(expected);
    });
});
