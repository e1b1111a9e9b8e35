/** Keys of issuers, from real servers that do as they like; time passes by hand. */
import { afterEach, expect, test } from "bun:test";
import { Log } from "../core/log.ts";
import type { TrustSource } from "../io/tls-settings.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { renderPrometheus } from "../telemetry/prometheus.ts";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import { freePorts } from "../testing/free-port.ts";
import { KeyServer, type KeyServerOptions } from "../testing/key-server.ts";
import { TokenIssuer } from "../testing/token-issuer.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { type KeyPlace, RemoteKeySet } from "./remote-key-set.ts";

const MINUTE = 60_000;
const issuer = new TokenIssuer();
const renewed = new TokenIssuer(issuer.name, "ES256", "key-2");

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function serve(answer: KeyServerOptions["answer"]): KeyServer {
  const server = new KeyServer({ answer });
  closers.push(() => server.close());
  return server;
}

function keysAt(place: KeyPlace, roots?: () => TrustSource) {
  const clock = new VirtualClock();
  const metrics = new Metrics();
  const lines: string[] = [];
  const log = new Log("test", { level: "info" }, (line) => lines.push(line.slice(25).trimEnd()));
  const options = {
    place,
    timeoutMs: 5_000,
    clock,
    random: () => 0.5,
    log,
    metrics,
    ...(roots && { roots }),
  };
  const keys = new RemoteKeySet(options);
  closers.push(() => keys.close());
  const fetched = (): Promise<void> =>
    new Promise((resolve) => expect(keys.whenFetched(resolve)).toBeDefined());
  const ids = (): unknown => keys.keys?.keys.map(({ id }) => id);
  const count = (result: string): string | undefined =>
    new RegExp(`result="${result}"} (\\d+)`).exec(renderPrometheus([metrics]))?.[1];
  return { keys, clock, fetched, ids, lines, count };
}

test("they come once they are started, and again every 20 minutes", async () => {
  const server = serve(() => issuer.keySet());
  const { keys, clock, fetched, ids, lines, count } = keysAt({ uri: `${server.origin}/jwks` });
  expect(keys.keys).toBeUndefined();
  keys.start();
  keys.start();
  await fetched();
  expect(ids()).toEqual(["key-1"]);
  const first = keys.keys;
  clock.advance(20 * MINUTE - 1);
  expect(server.asked).toEqual(["/jwks"]);
  clock.advance(1);
  await fetched();
  expect(server.asked).toEqual(["/jwks", "/jwks"]);
  // The same text is the same keys: what was verified by them stays verified.
  expect(keys.keys).toBe(first);
  server.answer = () => renewed.keySet();
  clock.advance(20 * MINUTE);
  await fetched();
  expect(ids()).toEqual(["key-2"]);
  expect(lines).toEqual([
    `info test keys were fetched from=${server.origin}/jwks keys=1`,
    `info test keys were fetched from=${server.origin}/jwks keys=1`,
  ]);
  expect([count("ok"), count("failed")]).toEqual(["3", "0"]);
});

const pad = (n: number): string => " ".repeat(n);
const endless = (): Response =>
  new Response(
    new ReadableStream({
      async pull(controller) {
        await Bun.sleep(0);
        controller.enqueue(new Uint8Array(64 * 1024).fill(0x20));
      },
    }),
  );

const bad: readonly (readonly [what: string, answer: KeyServerOptions["answer"], why: string])[] = [
  ["an error", () => new Response("", { status: 500 }), "answered 500"],
  ["nothing of that name", () => undefined, "answered 404"],
  [
    "that they are elsewhere",
    () => new Response("", { status: 302, headers: { location: "https://keys.example/" } }),
    "answered 302, and redirects are not followed",
  ],
  ["a page", () => "<html></html>", "Jwks is an invalid JSON"],
  ["nothing", () => "", "Jwks is an invalid JSON"],
  ["octets", () => new Response(new Uint8Array([0xff, 0xfe, 0])), "Jwks is an invalid JSON"],
  ["no keys", () => '{"keys":[]}', "Jwks doesn't have any valid public key"],
  ["nesting", () => "[".repeat(100_000), "Jwks is an invalid JSON"],
  ["too much", () => issuer.keySet() + pad(256 * 1024), "is longer than 262144 bytes"],
  ["something without end", endless, "is longer than 262144 bytes"],
  [
    "too much in little",
    () =>
      new Response(Bun.gzipSync(Buffer.from(issuer.keySet() + pad(50_000_000))), {
        headers: { "content-encoding": "gzip" },
      }),
    "is compressed, which was not asked for",
  ],
];

test.each(bad)("a server that answers %s: the last good keys stay", async (_, answer, why) => {
  const server = serve(() => issuer.keySet());
  const { keys, clock, fetched, ids, count } = keysAt({ uri: server.origin });
  keys.start();
  await fetched();
  server.answer = answer;
  clock.advance(20 * MINUTE);
  await fetched();
  expect(keys.problem).toBe(why);
  expect(ids()).toEqual(["key-1"]);
  expect(count("failed")).toBe("1");
  server.answer = () => renewed.keySet();
  clock.advance(1_000);
  await fetched();
  expect(keys.problem).toBe("");
  expect(ids()).toEqual(["key-2"]);
});

test("a server that is away is asked ever less often, and once a minute in the end", async () => {
  const [port] = freePorts(1);
  const { keys, clock, fetched, lines, count } = keysAt({ uri: `http://127.0.0.1:${port}/` });
  keys.start();
  const pauses: number[] = [];
  for (let i = 0; i < 9; i++) {
    await fetched();
    expect(keys.keys).toBeUndefined();
    expect(keys.seek()).toBe(false);
    const before = clock.nowMs();
    while (!keys.isFetching) clock.advance(250);
    pauses.push(clock.nowMs() - before);
  }
  expect(pauses).toEqual([750, 1_500, 3_000, 6_000, 12_000, 24_000, 45_000, 45_000, 45_000]);
  await fetched();
  expect(count("failed")).toBe("10");
  // One line, not one for each try.
  expect(lines.length).toBe(1);
  expect(lines[0]).toStartWith("warn test keys cannot be fetched");
});

test("a server that does not answer is given up", async () => {
  const server = serve(() => new Promise<Response>(() => {}));
  const { keys, clock, fetched } = keysAt({ uri: server.origin });
  keys.start();
  const done = fetched();
  clock.advance(5_000);
  await done;
  expect(keys.problem).toBe("took too long");
});

test("a server that answers a little and no more is given up", async () => {
  const slow = new ReadableStream({
    start: (controller) => controller.enqueue(Buffer.from('{"keys":')),
  });
  const server = serve(() => new Response(slow));
  const { keys, clock, fetched } = keysAt({ uri: server.origin });
  keys.start();
  const done = fetched();
  clock.advance(5_000);
  await done;
  expect(keys.problem).toBe("took too long");
});

test("tokens of unknown keys cause one fetch at a time, and one in ten seconds", async () => {
  const server = serve(() => issuer.keySet());
  const { keys, clock, fetched, ids } = keysAt({ uri: server.origin });
  expect(keys.seek()).toBe(true);
  expect(keys.seek()).toBe(true);
  await fetched();
  expect(server.asked.length).toBe(1);
  expect(keys.seek()).toBe(false);
  clock.advance(9_999);
  expect(keys.seek()).toBe(false);
  clock.advance(1);
  server.answer = () => issuer.keySet(renewed.jwk());
  expect(keys.seek()).toBe(true);
  await fetched();
  expect(ids()).toEqual(["key-1", "key-2"]);
  expect(server.asked.length).toBe(2);
});

test("at rest only tokens cause fetches; closed, nothing does", async () => {
  const server = serve(() => issuer.keySet());
  const { keys, clock, fetched } = keysAt({ uri: server.origin });
  keys.start();
  await fetched();
  keys.rest();
  // What limited the connection is found to be over.
  clock.advance(5_000);
  expect(clock.waiting).toBe(0);
  clock.advance(100 * MINUTE);
  expect(keys.seek()).toBe(true);
  await fetched();
  clock.advance(5_000);
  expect(clock.waiting).toBe(0);
  keys.close();
  keys.start();
  clock.advance(100 * MINUTE);
  expect(keys.seek()).toBe(false);
  expect(server.asked.length).toBe(2);
});

test("who waits is bounded, and may go", () => {
  const { keys } = keysAt({ uri: "http://127.0.0.1:1/" });
  const cancels = Array.from({ length: 1_000 }, () => keys.whenFetched(() => expect.unreachable()));
  expect(keys.whenFetched(() => {})).toBeUndefined();
  for (const cancel of cancels) cancel?.();
  expect(keys.whenFetched(() => {})).toBeDefined();
});

const DISCOVERY = "/.well-known/openid-configuration";
type Discovery = (origin: string) => object | string;
const discoveries: readonly (readonly [what: string, document: Discovery, why: string])[] = [
  ["where keys are", (o) => ({ issuer: o, jwks_uri: `${o}/keys` }), ""],
  ["no more than where", (o) => ({ jwks_uri: `${o}/keys` }), ""],
  [
    "for another issuer",
    (o) => ({ issuer: `${o}/`, jwks_uri: `${o}/keys` }),
    "discovery: speaks for another issuer",
  ],
  ["not where", (o) => ({ issuer: o }), "discovery: has no jwks_uri"],
  ["a file", (o) => ({ issuer: o, jwks_uri: "file:///etc/passwd" }), "discovery: has no jwks_uri"],
  ["a list", (o) => ({ issuer: o, jwks_uri: [`${o}/keys`] }), "discovery: has no jwks_uri"],
  [
    "that they are where machines tell their secrets",
    (o) => ({ issuer: o, jwks_uri: "http://169.254.169.254/latest" }),
    "169.254.169.254 is an address of the link alone",
  ],
  ["a page", () => "<html>", "discovery: is no JSON"],
  ["where nothing is", (o) => ({ issuer: o, jwks_uri: `${o}/none` }), "answered 404"],
];

test.each(discoveries)("an issuer whose document says %s", async (_, document, why) => {
  const server = serve((path) => (path === "/keys" ? issuer.keySet() : undefined));
  const said = document(server.origin);
  server.answer = (path) =>
    path === DISCOVERY
      ? typeof said === "string"
        ? said
        : JSON.stringify(said)
      : path === "/keys"
        ? issuer.keySet()
        : undefined;
  const { keys, fetched, ids } = keysAt({ issuer: server.origin });
  keys.start();
  await fetched();
  expect(keys.problem).toBe(why);
  expect(ids()).toEqual(why === "" ? ["key-1"] : undefined);
  expect(server.asked[0]).toBe(DISCOVERY);
});

test("an issuer with a path, and one without a document", async () => {
  const server = serve(() => undefined);
  const { keys, fetched } = keysAt({ issuer: `${server.origin}/realms/shop/` });
  keys.start();
  await fetched();
  expect(server.asked).toEqual([`/realms/shop${DISCOVERY}`]);
  expect(keys.problem).toBe("discovery: answered 404");
});

test("over TLS a server is believed by the roots that count, and by no others", async () => {
  const authority = new CertificateAuthority();
  const { chain: cert, key } = authority.issue({ name: "keys", for: ["DNS:localhost"] });
  const server = new KeyServer({ tls: { cert, key }, answer: () => issuer.keySet() });
  closers.push(() => server.close());
  const pem = authority.certificate;
  const trust = { file: "test", pem, count: 1 };
  const trusting = keysAt({ uri: server.origin }, () => ({ trust }));
  trusting.keys.start();
  await trusting.fetched();
  expect(trusting.ids()).toEqual(["key-1"]);
  // And who was asked over TLS does not lead to keys without it.
  server.answer = (path) =>
    path === DISCOVERY ? '{"jwks_uri":"http://127.0.0.1/keys"}' : issuer.keySet();
  const leading = keysAt({ issuer: server.origin }, () => ({ trust }));
  leading.keys.start();
  await leading.fetched();
  expect(leading.keys.problem).toBe("discovery: leads to keys without TLS");
  const others = keysAt({ uri: server.origin });
  others.keys.start();
  await others.fetched();
  expect(others.ids()).toBeUndefined();
  expect(others.keys.problem).toMatch(/certificate/);
});

test("an issuer that is no URL has no keys", async () => {
  const { keys, fetched } = keysAt({ issuer: "testing@secure.example" });
  keys.start();
  await fetched();
  expect(keys.problem).toBe("the issuer is no URL, so its keys cannot be found");
});
