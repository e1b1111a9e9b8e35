/** Which requests belong together. */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../core/random.ts";
import { FieldId } from "../../../http/field-id.ts";
import { expectLinear } from "../../../testing/growth.ts";
import { head } from "../../../testing/snapshot-sample.ts";
import { NO_HASH } from "./balancer.ts";
import { hashText } from "./hash.ts";
import {
  cookieRule,
  type HashPolicy,
  hashOf,
  headerRule,
  issueCookie,
  NEEDS_COOKIE,
  queryRule,
} from "./hash-policy.ts";

const session = { name: "route", path: "", attributes: [] };
const byUser: HashPolicy = [headerRule("X-User")];
const byCookie: HashPolicy = [cookieRule({ ...session, ttlSeconds: undefined })];
const byQuery: HashPolicy = [queryRule("u")];
const bySource: HashPolicy = [{ by: "source" }];

const ofText = (text: string): number => hashText(text);

describe("a request", () => {
  type Row = readonly [policy: HashPolicy, line: string, fields: string[], value?: string];
  // biome-ignore format: a table reads as a table
  const rows: readonly Row[] = [
    [byUser,   "GET /",            ["x-user: anna"],                   "anna"],
    [byUser,   "GET /",            ["X-USER:   anna  "],               "anna"],
    [byUser,   "GET /",            ["x-user2: anna"]],
    [byUser,   "GET /",            []],
    [byUser,   "GET /",            ["x-user:"],                        ""],
    [byCookie, "GET /",            ["cookie: route=a1"],               "a1"],
    [byCookie, "GET /",            ["cookie: a=b; route=a1; c=d"],     "a1"],
    [byCookie, "GET /",            ["cookie: a=b;route=a1"],           "a1"],
    [byCookie, "GET /",            ["cookie: route=a1 ; c=d"],         "a1"],
    [byCookie, "GET /",            ['cookie: route="a1"'],             "a1"],
    [byCookie, "GET /",            ['cookie: route="'],               '"'],
    [byCookie, "GET /",            ["cookie: route="],                 ""],
    [byCookie, "GET /",            ["cookie: route==a1"],              "=a1"],
    [byCookie, "GET /",            ["cookie: a=b", "cookie: route=1"], "1"],
    [byCookie, "GET /",            ["cookie: route=1; route=2"],       "1"],
    [byCookie, "GET /",            ["cookie: xroute=1; route2=2"]],
    [byCookie, "GET /",            ["cookie: ROUTE=1"]],
    [byCookie, "GET /",            ["cookie: route"]],
    [byCookie, "GET /",            ["cookie: ;;;"]],
    [byCookie, "GET /?route=1",    []],
    [byQuery,  "GET /?u=anna",     [],                                 "anna"],
    [byQuery,  "GET /a?b=c&u=anna&d", [],                              "anna"],
    [byQuery,  "GET /?u=a=b",      [],                                 "a=b"],
    [byQuery,  "GET /?u=",         [],                                 ""],
    [byQuery,  "GET /?u",          []],
    [byQuery,  "GET /?uu=1&U=2",   []],
    [byQuery,  "GET /u=1",         []],
    [byQuery,  "GET /?",           []],
    [byQuery,  "GET /?%75=1",      []],
    [bySource, "GET /",            [],                                 "10.1.2.3"],
  ];
  for (const [policy, line, fields, value] of rows)
    test(`${line} ${fields.join(" / ")} goes by "${value ?? ""}"`, () => {
      const hash = hashOf(policy, head(line, ...fields), "10.1.2.3");
      expect(hash).toBe(value === undefined ? NO_HASH : ofText(value));
    });

  test("of an unknown source goes by nothing", () => {
    expect(hashOf(bySource, head("GET /"), "")).toBe(NO_HASH);
  });

  test("with two values of the field goes by both, in their order", () => {
    const hash = (...fields: string[]): number => hashOf(byUser, head("GET /", ...fields), "");
    const both = hash("x-user: a", "x-user: b");
    expect(both).not.toBe(hash("x-user: b", "x-user: a"));
    expect(both).not.toBe(hash("x-user: a"));
    expect(both).toBe(hash("x-user: a", "y: z", "X-User: b"));
  });

  test("goes by all rules together, and by those that find something", () => {
    const policy: HashPolicy = [...byUser, ...bySource];
    const hash = (user: string, source: string): number =>
      hashOf(policy, user === "" ? head("GET /") : head("GET /", `x-user: ${user}`), source);
    expect(new Set([hash("a", "1"), hash("a", "2"), hash("b", "1")]).size).toBe(3);
    expect(hash("", "1")).toBe(ofText("1"));
    expect(hash("a", "")).toBe(ofText("a"));
  });
});

describe("a cookie of the proxy's own", () => {
  const policy: HashPolicy = [
    cookieRule({ ...session, ttlSeconds: 3_600, path: "/shop", attributes: ["SameSite=Strict"] }),
  ];

  test("is needed by a client that has none", () => {
    expect(hashOf(policy, head("GET /"), "")).toBe(NEEDS_COOKIE);
    expect(hashOf(policy, head("GET /", "cookie: route=1"), "")).toBe(ofText("1"));
  });

  test("brings the client back to where it went first", () => {
    const issued = issueCookie(policy, head("GET /"), "", seededRandom(1));
    const line = new TextDecoder().decode(issued.line);
    expect(line).toMatch(
      /^set-cookie: route=[0-9a-f]{16}; Max-Age=3600; Path=\/shop; SameSite=Strict; HttpOnly\r\n$/,
    );
    const value = /route=([0-9a-f]+)/.exec(line)![1];
    expect(hashOf(policy, head("GET /", `cookie: route=${value}`), "")).toBe(issued.hash);
  });

  test("together with other rules too", () => {
    const both: HashPolicy = [...byUser, ...policy];
    const issued = issueCookie(both, head("GET /", "x-user: a"), "", seededRandom(1));
    const value = /route=([0-9a-f]+)/.exec(new TextDecoder().decode(issued.line))![1];
    const again = head("GET /", "x-user: a", `cookie: route=${value}`);
    expect(hashOf(both, again, "")).toBe(issued.hash);
  });

  test("lasts for the client's session with a TTL of 0", () => {
    const short: HashPolicy = [cookieRule({ ...session, ttlSeconds: 0 })];
    const { line } = issueCookie(short, head("GET /"), "", seededRandom(1));
    expect(new TextDecoder().decode(line)).toMatch(
      /^set-cookie: route=[0-9a-f]{16}; HttpOnly\r\n$/,
    );
  });

  test("differs from client to client", () => {
    const random = seededRandom(1);
    const hashes = Array.from(
      { length: 100 },
      () => issueCookie(policy, head("GET /"), "", random).hash,
    );
    expect(new Set(hashes).size).toBe(100);
  });
});

test("a long Cookie takes time in proportion", () => {
  const field = (n: number): string => `cookie: ${"a=b;".repeat(n)}`;
  const heads = new Map([600, 2_400].map((n) => [n, head("GET /", field(n))]));
  expect(heads.get(600)!.has(FieldId.cookie)).toBe(true);
  // Compiled before it is measured.
  for (let i = 0; i < 3_000; i++) hashOf(byCookie, heads.get(600)!, "");
  expectLinear((n) => {
    for (let i = 0; i < 80; i++) hashOf(byCookie, heads.get(n)!, "");
  }, 600);
});
