/** Which virtual host an operator gets for the Host that a client sends. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encode } from "./byte-range.ts";
import { type HostEntry, HostTable } from "./host-table.ts";

function tableOf(domains: readonly string[]): HostTable<string> {
  return new HostTable(domains.map((domain): HostEntry<string> => ({ domain, value: domain })));
}

function find(table: HostTable<string>, authority: string, defaultPort = 80): string | undefined {
  const bytes = encode(`GET http://${authority}/ HTTP/1.1`);
  return table.find(bytes, 11, 11 + encode(authority).length, defaultPort);
}

describe("the host that a request asks for", () => {
  const table = tableOf([
    "reviews",
    "reviews.default",
    "reviews:9080",
    "10.0.0.1:9080",
    "[::1]:8080",
    "[::1]",
    "details:8000",
    "api.example.com",
    "*.example.com",
    "*.eu.example.com",
    "*-x.example.com",
    "*.example.com:8443",
    "ratings",
    "ratings:81",
  ]);
  // biome-ignore format: a table reads as a table
  const rows: readonly [authority: string, defaultPort: number, served: string | undefined][] = [
    ["reviews",                80,   "reviews"],
    ["Reviews",                80,   "reviews"],
    ["REVIEWS.Default",        80,   "reviews.default"],
    ["reviews:80",             80,   "reviews"],
    ["reviews:9080",           80,   "reviews:9080"],
    ["reviews",                9080, "reviews:9080"],
    ["reviews:80",             9080, "reviews"],
    ["reviews:81",             80,   undefined],
    ["reviews.default",        9080, "reviews.default"],
    ["ratings",                80,   "ratings"],
    ["ratings",                81,   "ratings:81"],
    ["10.0.0.1:9080",          80,   "10.0.0.1:9080"],
    ["10.0.0.1",               9080, "10.0.0.1:9080"],
    ["10.0.0.1",               80,   undefined],
    ["[::1]:8080",             80,   "[::1]:8080"],
    ["[::1]",                  80,   "[::1]"],
    ["[::1]",                  8080, "[::1]:8080"],
    ["[::1]:80",               80,   "[::1]"],
    ["details",                80,   undefined],
    ["api.example.com",        80,   "api.example.com"],
    ["www.example.com",        80,   "*.example.com"],
    ["WWW.Example.COM",        80,   "*.example.com"],
    ["a.b.example.com",        80,   "*.example.com"],
    ["www.eu.example.com",     80,   "*.eu.example.com"],
    ["a-x.example.com",        80,   "*-x.example.com"],
    ["-x.example.com",         80,   "*.example.com"],
    [".example.com",           80,   undefined],
    ["example.com",            80,   undefined],
    ["www.example.com:8443",   80,   "*.example.com:8443"],
    ["www.example.com",        8443, "*.example.com:8443"],
    ["www.example.com:80",     80,   "*.example.com"],
    ["www.example.com:9999",   80,   undefined],
    ["",                       80,   undefined],
    [":80",                    80,   undefined],
    ["nobody",                 80,   undefined],
    ["reviews.",               80,   "reviews"],
    ["Reviews.Default.",       80,   "reviews.default"],
    ["reviews.:9080",          80,   "reviews:9080"],
    ["reviews.",               9080, "reviews:9080"],
    ["reviews.:80",            80,   "reviews"],
    ["www.example.com.",       80,   "*.example.com"],
    ["reviews..",              80,   undefined],
    [".",                      80,   undefined],
    [".:80",                   80,   undefined],
  ];
  for (const [authority, port, served] of rows)
    test(`"${authority}" at port ${port} is served by ${served ?? "nobody"}`, () => {
      expect(find(table, authority, port)).toBe(served);
    });

  test("what nobody serves goes to the host *", () => {
    const withStar = tableOf(["reviews", "*.example.com", "*"]);
    for (const [authority, served] of [
      ["reviews", "reviews"],
      ["www.example.com", "*.example.com"],
      ["nobody", "*"],
      ["nobody:99999", "*"],
      ["a".repeat(4_000), "*"],
    ] as const)
      expect(find(withStar, authority)).toBe(served);
  });

  test("a name of 300 octets is found, whatever its port", () => {
    const long = `${"a".repeat(290)}.b`;
    expect(find(tableOf([long, `${long}:65535`]), long, 65_535)).toBe(`${long}:65535`);
  });
});

test("a table answers as a Map of its names does", () => {
  const label = fc.constantFrom("a", "b", "ab", "x-a", "example", "com");
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
  const withPort = fc
    .tuple(name, fc.constantFrom("", ":80", ":81"))
    .map(([host, port]) => host + port);
  const domain = fc.oneof(
    withPort,
    withPort.map((host) => `*.${host}`),
    fc.constant("*"),
  );
  fc.assert(
    fc.property(
      fc.uniqueArray(domain, { maxLength: 40 }),
      withPort,
      fc.constantFrom(80, 81),
      (domains, authority, port) => {
        expect(find(tableOf(domains), authority, port)).toBe(expected(domains, authority, port));
      },
    ),
    { numRuns: 2_000, verbose: 1 },
  );
});

/** The rule in the plainest words. */
function expected(domains: readonly string[], authority: string, port: number): string | undefined {
  const [host, explicit] = authority.split(":");
  const asked =
    explicit === undefined
      ? port === 80
        ? [authority]
        : [`${authority}:${port}`, authority]
      : explicit === "80"
        ? [authority, host!]
        : [authority];
  for (const name of asked) if (domains.includes(name)) return name;
  for (const name of asked) {
    const suffixes = domains
      .filter((each) => each.length > 1 && each.startsWith("*"))
      .filter((each) => name.endsWith(each.slice(1)) && name.length > each.length - 1)
      .sort((a, b) => b.length - a.length);
    if (suffixes[0] !== undefined) return suffixes[0];
  }
  return domains.find((each) => each === "*");
}
