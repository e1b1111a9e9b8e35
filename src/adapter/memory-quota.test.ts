/** What memquota grants, when, to whom, and how little it keeps of it. */
import { expect, test } from "bun:test";
import type { TypedValue } from "../attribute/value.ts";
import type { LocalHandler } from "../policy/adapter.ts";
import type { Dimensions } from "../policy/template.ts";
import { adapterEnvironment, openLocal, problemsOf } from "../testing/adapter-environment.ts";
import { expectLinear } from "../testing/growth.ts";
import { countersMax, memoryQuota } from "./memory-quota.ts";
import { QuotaKeys } from "./quota-key.ts";
import { RollingWindow } from "./rolling-window.ts";

const text = (value: string): TypedValue => ({ type: "STRING", value });
const START_MS = 1.5e12;

interface Ask {
  readonly amount?: number;
  readonly bestEffort?: boolean;
  readonly dedupId?: string;
  readonly atMs?: number;
  readonly of?: Dimensions;
}

function ask(handler: LocalHandler, { of = {}, atMs = 0, ...request }: Ask = {}) {
  const full = { amount: 1, bestEffort: false, dedupId: "", ...request, nowMs: START_MS + atMs };
  return handler.allocate!({ template: "quota", name: "q", dimensions: of }, full);
}

const perSecond = (maxAmount: number, more: object = {}) => ({
  quotas: [{ name: "q", maxAmount, validDuration: "1s", ...more }],
});

test("of a burst of 1,000 against 100 a second, 100 pass, and 100 more a second later", () => {
  const handler = openLocal(memoryQuota, perSecond(100));
  const burst = (atMs: number) =>
    Array.from({ length: 1_000 }, () => ask(handler, { atMs })).filter(({ granted }) => granted > 0)
      .length;
  expect([burst(0), burst(999), burst(1_000), burst(1_050), burst(2_000)]).toEqual([
    100, 0, 100, 0, 100,
  ]);
});

test("who is refused is told when there will be enough, and no sooner", () => {
  const handler = openLocal(memoryQuota, perSecond(2));
  for (const atMs of [0, 250]) ask(handler, { atMs });
  for (const [atMs, waitMs] of [
    [300, 700],
    [330, 670],
    [999, 1],
  ] as const) {
    expect(ask(handler, { atMs })).toMatchObject({ granted: 0, retryAfterMs: waitMs });
    expect(ask(handler, { atMs, amount: 3 }).retryAfterMs).toBeUndefined();
  }
  expect(ask(handler, { atMs: 1_000 }).granted).toBe(1);
  expect(ask(handler, { atMs: 1_000 }).retryAfterMs).toBe(200);
});

test("in no second does more pass than the limit, wherever the second begins", () => {
  const handler = openLocal(memoryQuota, perSecond(10));
  const passed: number[] = [];
  for (let atMs = 0; atMs < 5_000; atMs += 7) if (ask(handler, { atMs }).granted) passed.push(atMs);
  for (const from of passed) {
    const within = passed.filter((at) => at >= from && Math.floor(at / 100) < from / 100 + 9);
    expect(within.length).toBeLessThanOrEqual(10);
  }
  expect(passed.length).toBe(50);
});

test("a window is as long as it says, to the tick: 1.5 s is not 2 s", () => {
  const handler = openLocal(memoryQuota, {
    quotas: [{ name: "q", maxAmount: 1, validDuration: "1.5s" }],
  });
  const granted = [0, 1_499, 1_500].map((atMs) => ask(handler, { atMs }).granted);
  expect(granted).toEqual([1, 0, 1]);
});

test("best effort takes what is left; all or nothing takes nothing and leaves it", () => {
  const handler = openLocal(memoryQuota, perSecond(10));
  expect([
    ask(handler, { amount: 7 }),
    ask(handler, { amount: 4 }),
    ask(handler, { amount: 4, bestEffort: true }),
    ask(handler, { amount: 4, bestEffort: true }),
  ]).toMatchObject([
    { granted: 7, validDurationMs: 1_000, code: 0 },
    { granted: 0, validDurationMs: 0, code: 0 },
    { granted: 3, validDurationMs: 1_000, code: 0 },
    { granted: 0, validDurationMs: 1_000, code: 0 },
  ]);
});

test("without a duration what is taken stays taken until it is given back", () => {
  const handler = openLocal(memoryQuota, { quotas: [{ name: "q", maxAmount: 2 }] });
  const day = 86_400_000;
  const amounts = [2, 1, -5, 2].map((amount, i) => ask(handler, { amount, atMs: i * day }).granted);
  expect(amounts).toEqual([2, 0, 2, 2]);
});

test("the same id gives the same answer and takes nothing, until it is forgotten", () => {
  const handler = openLocal(memoryQuota, perSecond(10));
  const ids = (dedupId: string, atMs: number) => ask(handler, { amount: 6, dedupId, atMs });
  expect([
    ids("a", 0),
    ids("a", 400),
    ids("b", 500),
    ids("b", 1_200),
    ids("b", 3_300),
  ]).toMatchObject([
    { granted: 6, validDurationMs: 1_000 },
    { granted: 6, validDurationMs: 600 },
    { granted: 0, validDurationMs: 0 },
    { granted: 0, validDurationMs: 0 },
    { granted: 6, validDurationMs: 1_000 },
  ]);
});

test("requests without an id have nothing to do with each other", () => {
  const handler = openLocal(memoryQuota, perSecond(2));
  expect([1, 1, 1].map((amount) => ask(handler, { amount }).granted)).toEqual([1, 1, 0]);
});

test("the first override whose dimensions are all the instance's sets the limit", () => {
  const handler = openLocal(
    memoryQuota,
    perSecond(1, {
      overrides: [
        { dimensions: { user: "eve" }, maxAmount: 0, validDuration: "1s" },
        { dimensions: { user: "bob", size: "5" }, maxAmount: 3, validDuration: "2s" },
        { dimensions: { user: "bob" }, maxAmount: 2, validDuration: "1s" },
      ],
    }),
  );
  const all = (of: Dimensions) => ask(handler, { amount: 9, bestEffort: true, of });
  const size: TypedValue = { type: "INT64", value: 5 };
  expect(all({ user: text("bob"), size })).toMatchObject({ granted: 3, validDurationMs: 2_000 });
  expect(all({ user: text("bob") })).toMatchObject({ granted: 2, validDurationMs: 1_000 });
  expect(all({ user: text("eve") }).granted).toBe(0);
  expect(all({ user: text("amy") }).granted).toBe(1);
});

test("dimensions that a client made up cannot reach another one's counter", () => {
  const of = new QuotaKeys("q");
  const keys = [
    { a: text("1;b=2"), b: text("3") },
    { a: text("1"), b: text("2;b=3") },
    { a: text("1\\;b=2"), b: text("3") },
    { a: text("1"), b: text("2") },
    { a: text("1\\"), b: text("2") },
    { a: text("1;b=2") },
  ].map((dimensions) => of.keyOf(dimensions));
  expect(new Set(keys).size).toBe(keys.length);
  const [first, second] = [text("1"), text("2")];
  expect(of.keyOf({ b: second, a: first })).toBe("q;a=1;b=2");
  expect(of.keyOf({ a: first, b: second })).toBe("q;a=1;b=2");
  expect(of.keyOf({ a: first })).toBe("q;a=1");
  expect(of.keyOf({})).toBe("q");
  const long = of.keyOf({ a: text("x".repeat(100_000)) });
  expect(long.length).toBeLessThan(300);
  expect(of.keyOf({ a: text(`${"x".repeat(99_999)}y`) })).not.toBe(long);
});

test("too many sets of dimensions share one counter and are counted; idle ones make room", () => {
  const environment = adapterEnvironment();
  const handler = openLocal(memoryQuota, perSecond(1), environment);
  const of = (i: number, atMs: number) =>
    ask(handler, { of: { user: text(`u${i}`) }, atMs }).granted;
  for (let i = 0; i < countersMax; i++) of(i, 0);
  expect([of(-1, 10), of(-2, 10), of(-3, 10)]).toEqual([1, 0, 0]);
  const { families } = environment.registry.view();
  const { slot } = families.find(({ name }) => name === "mesh_memquota_overflow_total")!.series[0]!;
  expect(environment.registry.values[slot]).toBe(3);
  expect([of(-4, 2_000), of(-5, 2_000)]).toEqual([1, 1]);
});

test("a counter that went as idle is not counted by beside the one in its place", () => {
  const handler = openLocal(memoryQuota, perSecond(1));
  const of = (user: string, atMs: number, name = "user") =>
    ask(handler, { of: { [name]: text(user) }, atMs }).granted;
  expect([of("ann", 0), of("bob", 61_000), of("ann", 61_000)]).toEqual([1, 1, 1]);
  expect([of("x", 61_000, "other"), of("ann", 61_000)]).toEqual([1, 0]);
});

test("texts of one set of dimensions are not those of another with other names", () => {
  const handler = openLocal(memoryQuota, perSecond(1));
  const of = (dimensions: Dimensions) => ask(handler, { of: dimensions }).granted;
  const [one, two] = [text("1"), text("2")];
  expect([of({ a: one }), of({ b: one }), of({ a: one, b: two }), of({ a: one })]).toEqual([
    1, 1, 1, 0,
  ]);
  expect([of({ a: two, b: one }), of({ b: two, a: one }), of({})]).toEqual([1, 0, 1]);
});

test("a clock that is set back grants nothing twice", () => {
  const handler = openLocal(memoryQuota, perSecond(1));
  expect([10_000, 0, 10_900, 11_000].map((atMs) => ask(handler, { atMs }).granted)).toEqual([
    1, 0, 0, 1,
  ]);
});

test("who is refused is told when there will be enough again, if nobody else takes it", () => {
  const window = new RollingWindow(10, 30);
  expect(window.take(4, 100)).toBe(true);
  expect(window.take(6, 110)).toBe(true);
  const rows = [
    [4, 115, 15],
    [5, 115, 25],
    [10, 115, 25],
    [11, 115, 0],
    [4, 130, 0],
    [4, 129, 0],
  ] as const;
  for (const [amount, tick, ticks] of rows)
    expect([amount, tick, window.ticksUntil(amount, tick)]).toEqual([amount, tick, ticks]);
});

test("what is given back is the newest, over several ticks, and no more than is in use", () => {
  const window = new RollingWindow(9, 3);
  for (const tick of [1, 2, 3]) window.take(2, tick);
  expect([window.release(3, 3), window.available(3)]).toEqual([3, 6]);
  expect([window.available(4), window.available(5)]).toEqual([8, 9]);
  window.take(1, 5);
  expect([window.release(7, 5), window.available(5), window.release(1, 5)]).toEqual([1, 9, 0]);
});

test("a window holds the last of its ticks, however many there were before", () => {
  const window = new RollingWindow(100, 3);
  const available: number[] = [];
  for (let tick = 1; tick <= 200; tick++) {
    window.take(1, tick);
    available.push(window.available(tick));
  }
  expect(available).toEqual([99, 98, ...new Array(198).fill(97)]);
});

test("a window stands still until a clock that was set back has caught up", () => {
  const window = new RollingWindow(2, 10);
  window.available(100);
  window.take(1, 5);
  expect([window.available(105), window.available(110)]).toEqual([1, 2]);
});

test("uses of a long window cost the same each, however many there were", () => {
  expectLinear((n) => {
    const window = new RollingWindow(Number.MAX_SAFE_INTEGER, 600);
    for (let tick = 0; tick < n; tick++) window.take(1, tick);
  }, 20_000);
});

test.each<[parameters: object, problems: string[]]>([
  [{}, []],
  [{ minDeduplicationDuration: "0s" }, ["minDeduplicationDuration: must be longer than 0s"]],
  [{ quotas: [{ maxAmount: 1 }] }, ["quotas[0].name: must be the full name of a quota instance"]],
  [
    { quotas: [{ name: "q", maxAmonut: 1 }] },
    ["quotas[0].maxAmonut: unknown field (did you mean maxAmount?)"],
  ],
  [
    { quotas: [{ name: "q", max_amount: "many", validDuration: "-1s" }] },
    [
      'quotas[0].max_amount: must be a number, not "many"',
      "quotas[0].validDuration: must be at least 0s, not -1s",
    ],
  ],
  [{ quotas: [{ name: "q" }, { name: "q" }] }, ["quotas[1].name: q has limits already"]],
])("parameters %j", (parameters, problems) => {
  expect(problemsOf(memoryQuota, parameters)).toEqual(problems);
});

test("an instance that no limit is written for is a mistake", () => {
  const bound = [{ name: "rc.quota.default", template: "quota" }] as const;
  expect(problemsOf(memoryQuota, perSecond(1), bound)).toEqual([
    "quotas: did not find limit defined for quota rc.quota.default",
  ]);
});
