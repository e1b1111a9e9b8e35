/** What redisquota grants together with a real Redis, and what becomes of callers without one. */
import { afterEach, expect, test } from "bun:test";
import type { TypedValue } from "../attribute/value.ts";
import { systemClock } from "../core/clock.ts";
import type { RemoteHandler } from "../policy/adapter.ts";
import type { Dimensions } from "../policy/template.ts";
import {
  adapterEnvironment,
  openRemote,
  problemsOf,
  type TestEnvironment,
} from "../testing/adapter-environment.ts";
import { fakeRedis } from "../testing/fake-redis.ts";
import { freePorts } from "../testing/free-port.ts";
import { redisSkipped, startRedis } from "../testing/redis-server.ts";
import { redisQuota } from "./redis-quota.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const text = (value: string): TypedValue => ({ type: "STRING", value });
const fixed = { name: "q", maxAmount: 100, validDuration: "10s" };
const rolling = { ...fixed, rateLimitAlgorithm: "ROLLING_WINDOW", bucketDuration: "1s" };

function open(port: number, quota: object = fixed, environment: Partial<TestEnvironment> = {}) {
  const parameters = { redisServerUrl: `127.0.0.1:${port}`, quotas: [quota] };
  const whole = { ...adapterEnvironment(), clock: systemClock, ...environment };
  const handler = openRemote(redisQuota, parameters, whole);
  closing.push(() => handler.close());
  return handler;
}

interface Ask {
  readonly amount?: number;
  readonly bestEffort?: boolean;
  readonly dedupId?: string;
  readonly atMs?: number;
  readonly of?: Dimensions;
}

function ask(handler: RemoteHandler, { of = {}, atMs = 0, ...request }: Ask = {}) {
  const full = { amount: 1, bestEffort: false, dedupId: "", ...request, nowMs: 1.5e12 + atMs };
  return handler.allocate!({ template: "quota", name: "q", dimensions: of }, full);
}

test.skipIf(redisSkipped)("a refusal says when there will be enough again", async () => {
  const waitsOf = async (quota: object) => {
    const server = await startRedis();
    closing.push(() => server.stop());
    const handler = open(server.port, quota);
    await ask(handler, { amount: 60 });
    await ask(handler, { amount: 40, atMs: 3_000 });
    const waits: unknown[] = [];
    for (const amount of [1, 60, 61, 101]) {
      const { granted, code, retryAfterMs } = await ask(handler, { amount, atMs: 4_000 });
      waits.push([granted, code, retryAfterMs]);
    }
    return waits;
  };
  const refused = (retryAfterMs?: number) => [0, 8, retryAfterMs];
  const atTheEnd = refused(6_000);
  expect(await waitsOf(fixed)).toEqual([atTheEnd, atTheEnd, atTheEnd, refused()]);
  expect(await waitsOf(rolling)).toEqual([atTheEnd, atTheEnd, refused(9_000), refused()]);
});

const unavailable = {
  granted: 0,
  validDurationMs: 0,
  code: 14,
  message: "redisquota: Service Unavailable",
} as const;

test.skipIf(redisSkipped).each([
  ["fixed", fixed],
  ["rolling", rolling],
])("two mixers that ask at once get 100 of 1,000 together (%s window)", async (_, quota) => {
  const server = await startRedis();
  closing.push(() => server.stop());
  const mixers = [open(server.port, quota), open(server.port, quota)];
  const answers = await Promise.all(Array.from({ length: 1_000 }, (_, i) => ask(mixers[i % 2]!)));
  expect(answers.filter(({ granted }) => granted === 1)).toHaveLength(100);
  expect(answers.filter(({ code }) => code === 8)).toHaveLength(900);
  const later = await Promise.all(
    Array.from({ length: 300 }, (_, i) => ask(mixers[i % 2]!, { atMs: 10_000 })),
  );
  expect(later.filter(({ granted }) => granted === 1)).toHaveLength(100);
});

test.skipIf(redisSkipped)(
  "each set of dimensions has its counter, an override its own",
  async () => {
    const server = await startRedis();
    closing.push(() => server.stop());
    const overrides = [{ dimensions: { user: "bob" }, maxAmount: 2 }];
    const handler = open(server.port, { ...fixed, maxAmount: 5, overrides });
    const all = (user: string) =>
      ask(handler, { amount: 9, bestEffort: true, of: { user: text(user) } });
    expect([
      (await all("amy")).granted,
      (await all("bob")).granted,
      (await all("eve")).granted,
    ]).toEqual([5, 2, 5]);
    await ask(handler, { amount: 1, dedupId: "id-1", of: { user: text("joe") } });
    const client = new Bun.RedisClient(`redis://127.0.0.1:${server.port}`);
    closing.push(() => client.close());
    const keys = ((await client.send("KEYS", ["*"])) as string[]).sort();
    expect(keys.map((key) => key.replace(/-\d+\.meta$/, "-DIGEST.meta"))).toEqual([
      "id-1-q;user=joe.meta",
      "q;user=amy.meta",
      "q;user=bob-DIGEST.meta",
      "q;user=eve.meta",
      "q;user=joe.meta",
    ]);
    for (const key of keys) {
      const leftMs = Number(await client.send("PTTL", [key]));
      expect(leftMs).toBeGreaterThan(8_000);
      expect(leftMs).toBeLessThanOrEqual(10_000);
    }
  },
);

test.skipIf(redisSkipped)(
  "the same id gets the same answer while it holds, and pays once",
  async () => {
    const server = await startRedis();
    closing.push(() => server.stop());
    const handler = open(server.port, { ...rolling, maxAmount: 10 });
    const answers = [];
    for (const [amount, dedupId, atMs] of [
      [6, "a", 0],
      [6, "a", 4_000],
      [6, "b", 5_000],
      [4, "b", 6_000],
      [6, "a", 10_000],
    ] as const)
      answers.push(await ask(handler, { amount, dedupId, atMs }));
    expect(answers.map(({ granted, validDurationMs }) => [granted, validDurationMs])).toEqual([
      [6, 10_000],
      [6, 6_000],
      [0, 0],
      [4, 10_000],
      [6, 10_000],
    ]);
  },
);

test.skipIf(redisSkipped)(
  "a Redis that was away is found again, its scripts forgotten",
  async () => {
    const [port] = freePorts(1);
    const environment = adapterEnvironment();
    const handler = open(port!, fixed, environment);
    expect(await ask(handler)).toEqual(unavailable);
    const first = await startRedis(port);
    environment.clock.advance(100);
    while ((await ask(handler)).granted !== 1) await Bun.sleep(5);
    await first.stop();
    while ((await ask(handler)).code !== 14) await Bun.sleep(5);
    const second = await startRedis(port);
    closing.push(() => second.stop());
    environment.clock.advance(10_000);
    while ((await ask(handler)).granted !== 1) await Bun.sleep(5);
    expect(environment.lines.filter((line) => line.includes("redis is connected"))).toHaveLength(2);
    handler.close();
    expect(environment.clock.waiting).toBe(0);
  },
);

test("a Redis that hangs costs a second, once; then callers are told at once", async () => {
  const server = fakeRedis(undefined);
  closing.push(() => server.stop());
  const environment = adapterEnvironment();
  const handler = open(server.port, fixed, environment);
  const waiting = [ask(handler), ask(handler)];
  while (server.asked.length < 2) await Bun.sleep(1);
  environment.clock.advance(1_000);
  expect(await Promise.all(waiting)).toEqual([unavailable, unavailable]);
  while (!environment.lines.some((line) => line.includes("redis is not connected")))
    await Bun.sleep(1);
  expect(await ask(handler)).toEqual(unavailable);
});

test.each<[what: string, reply: unknown, code: number]>([
  ["an error", "ERR no memory", 14],
  ["a text", "granted", 13],
  ["one number", [1], 13],
  ["texts", ["1", "2"], 13],
  ["nothing granted", [0, 0], 8],
  ["a grant", [1, 10_000_000], 0],
])("%s of Redis becomes the code of a rule's answer", async (_, reply, code) => {
  const server = fakeRedis(reply);
  closing.push(() => server.stop());
  expect((await ask(open(server.port))).code).toBe(code as 0);
});

test("nothing and less than nothing need no asking, nor does what has no limit", async () => {
  const server = fakeRedis([1, 1]);
  closing.push(() => server.stop());
  const handler = open(server.port);
  expect([await ask(handler, { amount: 0 }), await ask(handler, { amount: -5 })]).toMatchObject([
    { granted: 0, code: 0 },
    { granted: 0, code: 0 },
  ]);
  const request = { amount: 1, bestEffort: false, dedupId: "", nowMs: 0 };
  const unknown = await handler.allocate!({ template: "quota", name: "other" }, request);
  expect(unknown).toMatchObject({ granted: 0, code: 13 });
  expect(server.asked).toEqual([]);
});

test.each<[parameters: object, problems: string[]]>([
  [{ quotas: [fixed] }, []],
  [{}, ["quotas: must not be empty"]],
  [{ redisServerUrl: "", quotas: [fixed] }, ["redisServerUrl: must not be empty"]],
  [
    { redisServerUrl: "a b", quotas: [fixed] },
    ['redisServerUrl: "a b" is no host:port and no redis:// URL'],
  ],
  [
    { quotas: [{ ...fixed, validDuration: "0s" }] },
    ["quotas[0].validDuration: must be longer than 0s"],
  ],
  [
    { quotas: [{ ...rolling, bucketDuration: "10s" }] },
    ["quotas[0].bucketDuration: must be shorter than the validDuration"],
  ],
  [
    { quotas: [{ ...fixed, overrides: [{}] }] },
    [
      "quotas[0].overrides[0].maxAmount: must be more than 0",
      "quotas[0].overrides[0].dimensions: must not be empty",
    ],
  ],
  [
    { quotas: [{ ...fixed, rateLimitAlgorithm: "SLIDING" }] },
    ['quotas[0].rateLimitAlgorithm: must be one of FIXED_WINDOW, ROLLING_WINDOW, not "SLIDING"'],
  ],
])("parameters %j", (parameters, problems) => {
  expect(problemsOf(redisQuota, parameters)).toEqual(problems);
});
