/** What a list lets through, where it comes from and what becomes of it; and the denier. */
import { afterEach, expect, test } from "bun:test";
import { parseIpAddress } from "../attribute/ip-address.ts";
import type { TypedValue } from "../attribute/value.ts";
import type { LocalHandler } from "../policy/adapter.ts";
import { adapterEnvironment, openLocal, problemsOf } from "../testing/adapter-environment.ts";
import { expectLinear } from "../testing/growth.ts";
import { denier } from "./denier.ts";
import { IpPrefixSet, parseIpPrefix } from "./ip-prefix-set.ts";
import { list } from "./list.ts";
import { compileEntries, readList } from "./list-entries.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function check(handler: LocalHandler, value: string | TypedValue | undefined) {
  const typed = typeof value === "string" ? ({ type: "STRING", value } as const) : value;
  const fields = typed === undefined ? {} : { value: typed };
  return handler.check!({ template: "listentry", name: "l", ...fields });
}

const verdicts = (parameters: object, ...values: string[]) => {
  const handler = openLocal(list, parameters);
  return values.map((value) => check(handler, value).message);
};

test("on a whitelist passes what is listed, on a blacklist what is not", () => {
  const overrides = ["v1", "v2"];
  expect(verdicts({ overrides }, "v1", "v3")).toEqual(["", "v3 is not whitelisted"]);
  expect(verdicts({ overrides, blacklist: true }, "v1", "v3")).toEqual(["v1 is blacklisted", ""]);
  expect(check(openLocal(list, { overrides }), "v1")).toMatchObject({
    code: 0,
    validDurationMs: 300_000,
    validUseCount: 10_000,
  });
  expect(check(openLocal(list, { overrides }), undefined)).toMatchObject({
    code: 7,
    isFault: false,
  });
});

test.each<[networks: string[], inside: string[], outside: string[]]>([
  [["10.0.0.0/8"], ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], ["11.0.0.0", "9.255.0.1"]],
  [["9.9.9.9/28"], ["9.9.9.0", "9.9.9.15"], ["9.9.9.16"]],
  [["1.2.3.4"], ["1.2.3.4"], ["1.2.3.5", "102:304::"]],
  [["2001:db8::/33"], ["2001:db8:7fff::1"], ["2001:db8:8000::", "2001:db9::"]],
  [["2001:db8::1"], ["2001:db8::1"], ["2001:db8::2", "2001:db8::"]],
  [["::ffff:10.0.0.0/104"], ["10.9.9.9"], ["11.0.0.1"]],
  [["0.0.0.0/0"], ["255.255.255.255", "0.0.0.0"], ["::1"]],
  [["::/0"], ["::1", "ffff::"], ["1.2.3.4"]],
  [["10.0.0.0/9", "10.200.0.0/16"], ["10.127.0.1", "10.200.9.9"], ["10.128.0.1"]],
])("the networks %j hold %j and not %j", (networks, inside, outside) => {
  const known = new IpPrefixSet(networks.map((network) => parseIpPrefix(network)!));
  expect(inside.filter((address) => !known.has(parseIpAddress(address)!))).toEqual([]);
  expect(outside.filter((address) => known.has(parseIpAddress(address)!))).toEqual([]);
});

test.each([
  "",
  "/8",
  "10.0.0.0/",
  "10.0.0.0/33",
  "10.0.0.0/08",
  "::/129",
  "a/8",
  "10.0.0/8",
  "::ffff:1.2.3.4/95",
])("%p is no network", (network) => {
  expect(parseIpPrefix(network)).toBeUndefined();
});

test("an address may come as text or as octets; anything else is a bad argument", () => {
  const handler = openLocal(list, { entryType: "IP_ADDRESSES", overrides: ["10.0.0.0/8"] });
  const octets = (...of: number[]): TypedValue => ({
    type: "IP_ADDRESS",
    value: new Uint8Array(of),
  });
  const mapped = octets(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 1, 1);
  expect(check(handler, mapped).code).toBe(0);
  const codes = ["10.1.1.1", octets(10, 1, 1, 1), "11.1.1.1", octets(10), "ten", "", undefined].map(
    (value) => check(handler, value).code,
  );
  expect(codes).toEqual([0, 0, 7, 3, 3, 3, 3]);
});

test("case is ignored letter by letter, and expressions search", () => {
  const insensitive = { entryType: "CASE_INSENSITIVE_STRINGS", overrides: ["Straße", "ΟΔΟΣ", "a"] };
  expect(
    verdicts(insensitive, "STRAßE", "STRASSE", "οδος", "οδοσ", "A").map((m) => m === ""),
  ).toEqual([true, false, true, true, true]);
  const regex = { entryType: "REGEX", overrides: ["^/api/v\\d+$", "admin"] };
  expect(verdicts(regex, "/api/v12", "/api/v1/x", "my-admin-page").map((m) => m === "")).toEqual([
    true,
    false,
    true,
  ]);
});

test("an expression that makes backtracking engines hang costs linear time", () => {
  const entries = compileEntries("REGEX", ["(a+)+$"]);
  expectLinear((n) => {
    entries.has({ type: "STRING", value: `${"a".repeat(n)}!` });
  }, 2_000);
});

test.each<[parameters: object, problems: string[]]>([
  [{ refreshInterval: "0.5s" }, ["refreshInterval: must be at least 1s, not 0.5s"]],
  [{ providerUrl: "ftp://a" }, ['providerUrl: "ftp://a" URL scheme and host cannot be empty']],
  [{ overides: [] }, ["overides: unknown field (did you mean overrides?)"]],
  [{ entryType: "STRING" }, []],
  [
    { providerUrl: "http://a", ttl: "30s" },
    ["ttl: must be at least the refreshInterval, or the list is gone before it"],
  ],
  [
    { entryType: "REGEX", overrides: ["(", "ok"] },
    ["overrides: could not parse regex override (: error parsing regexp: missing closing ): `(`"],
  ],
])("parameters %j", (parameters, problems) => {
  const found = problemsOf(list, parameters);
  if (problems.length > 0) expect(found).toEqual(problems);
  else expect(found).toHaveLength(1);
});

test.each<[what: string, type: "STRINGS" | "IP_ADDRESSES" | "REGEX", body: string, is: unknown]>([
  ["one a line", "STRINGS", "a\r\n b \n\n", ["a", "b"]],
  ["networks one a line", "IP_ADDRESSES", "10.0.0.0/8\n::1\n", ["10.0.0.0/8", "::1"]],
  ["YAML of networks", "IP_ADDRESSES", "WhiteList:\n- 1.2.3.4\n", ["1.2.3.4"]],
  ["JSON of networks", "IP_ADDRESSES", '{"whitelist": ["1.2.3.4"]}', ["1.2.3.4"]],
  ["YAML without the list", "IP_ADDRESSES", "blacklist: []\n", "has no whitelist"],
  [
    "no addresses",
    "IP_ADDRESSES",
    "- JUNK\n",
    "could not parse ip address - JUNK: it is no address and no network",
  ],
  ["a tower", "IP_ADDRESSES", `a: ${"[".repeat(1_000)}`, "is YAML that nests too deeply"],
  ["JSON cut short", "IP_ADDRESSES", '{"whitelist": ["1.2.3.4"', "is not JSON"],
  ["YAML cut short", "IP_ADDRESSES", 'whitelist: ["1.2.3.4"', "is not YAML"],
  ["numbers", "IP_ADDRESSES", "whitelist: [1]", "has entries in whitelist that are not texts"],
  [
    "long YAML",
    "IP_ADDRESSES",
    `whitelist:\n${"- 1.2.3.4\n".repeat(30_000)}`,
    "is longer than 262144 characters of YAML: write one a line, or JSON",
  ],
  ["too many expressions", "REGEX", "a\n".repeat(1_001), "has more than 1000 entries"],
  ["empty", "STRINGS", "", []],
])("a fetched list: %s", (_, type, body, is) => {
  expect(readList(type, body)).toEqual(is as string[]);
});

test("a list is read and compiled in time in proportion", () => {
  expectLinear((n) => {
    const lines = Array.from({ length: n }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    compileEntries("IP_ADDRESSES", readList("IP_ADDRESSES", lines.join("\n")) as string[]);
  }, 2_000);
});

test("a list is fetched again; a bad one changes nothing while the former is good", async () => {
  let body = "a\nb";
  let status = 200;
  let asked = 0;
  const server = Bun.serve({
    port: 0,
    fetch: () => {
      asked++;
      return new Response(body, { status });
    },
  });
  closing.push(() => server.stop(true));
  const environment = adapterEnvironment();
  const { clock, lines } = environment;
  const parameters = {
    providerUrl: `http://127.0.0.1:${server.port}/list`,
    refreshInterval: "10s",
    ttl: "25s",
    overrides: ["z"],
  };
  const handler = openLocal(list, parameters, environment);
  closing.push(() => handler.close());
  const codes = () => ["a", "c", "z"].map((value) => check(handler, value).code);
  const until = async (done: () => boolean) => {
    while (!done()) await Bun.sleep(1);
  };

  expect(check(handler, "z")).toMatchObject({ isFault: true, code: 13 });
  await until(() => clock.waiting === 1 && codes()[0] === 0);
  expect(codes()).toEqual([0, 7, 0]);

  body = "c";
  clock.advance(10_000);
  await until(() => codes()[1] === 0);
  expect(codes()).toEqual([7, 0, 0]);

  status = 500;
  clock.advance(10_000);
  await until(() => lines.length === 1);
  expect(lines[0]).toContain('handler=h.handler.default why="answered 500"');
  expect(codes()).toEqual([7, 0, 0]);

  clock.advance(10_000);
  await until(() => lines.length === 2);
  clock.advance(5_001);
  expect(codes()).toEqual([13, 13, 13]);

  status = 200;
  body = "a";
  clock.advance(5_000);
  await until(() => codes()[0] === 0);
  handler.close();
  const before = asked;
  expect(clock.waiting).toBe(0);
  clock.advance(60_000);
  expect(asked).toBe(before);
});

test("a list without an end, and one that does not come, are given up", async () => {
  const server = Bun.serve({
    port: 0,
    fetch: ({ url }) =>
      url.endsWith("/slow")
        ? new Promise<Response>(() => {})
        : new Response(
            new ReadableStream({
              pull: (controller) => controller.enqueue(new Uint8Array(1024 * 1024).fill(0x61)),
            }),
          ),
  });
  closing.push(() => server.stop(true));
  for (const [path, why] of [
    ["slow", "took too long"],
    ["endless", "is longer than 16777216 bytes"],
  ]) {
    const environment = adapterEnvironment();
    const providerUrl = `http://127.0.0.1:${server.port}/${path}`;
    const handler = openLocal(list, { providerUrl }, environment);
    closing.push(() => handler.close());
    if (path === "slow") environment.clock.advance(10_000);
    while (environment.lines.length === 0) await Bun.sleep(1);
    expect(environment.lines[0]).toContain(`why="${why}"`);
  }
});

test("denier says what it was told to say, and how long that holds", () => {
  const handler = openLocal(denier, { status: { code: 7, message: "go away" }, validUseCount: 3 });
  expect(handler.check!({ template: "checknothing", name: "n" })).toEqual({
    code: 7,
    message: "go away",
    validDurationMs: 5_000,
    validUseCount: 3,
    isFault: false,
  });
  const type = "type.googleapis.com/istio.policy.v1beta1.DirectHttpResponse";
  const details = [{ "@type": type, code: 302, headers: { location: "/login" } }];
  const redirect = openLocal(denier, { status: { code: "UNAUTHENTICATED", details } });
  expect(redirect.check!({ template: "listentry", name: "l" })).toMatchObject({
    code: 16,
    direct: { code: 302, body: "", headers: { location: "/login" } },
  });
  expect(problemsOf(denier, { status: { code: "DENIED" } })).toHaveLength(1);
  expect(problemsOf(denier, { validDuration: "5" })).toHaveLength(1);
});
