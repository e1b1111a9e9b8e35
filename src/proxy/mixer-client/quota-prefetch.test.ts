/** How tokens of a quota are fetched ahead, and that never more are spent than were granted. */
import { expect, test } from "bun:test";
import { type Grant, QuotaPrefetch } from "./quota-prefetch.ts";

/** A prefetch and a mixer that answers when it is told to. */
class Bench {
  readonly prefetch: QuotaPrefetch;
  readonly asked: number[] = [];
  readonly told: (boolean | undefined)[] = [];
  nowMs = 0;
  readonly #fetch = (amount: number): void => void this.asked.push(amount);

  constructor(optimistic = false) {
    this.prefetch = new QuotaPrefetch({ optimistic, closedMs: 500 }, 0);
  }

  take(amount = 1): string {
    const onTaken = (granted: boolean | undefined) => this.told.push(granted);
    return this.prefetch.take(amount, this.nowMs, this.#fetch, onTaken);
  }

  answer(grant: Grant | undefined): void {
    this.prefetch.fetched(grant, this.nowMs, this.#fetch);
  }
}

const granted = (amount: number, validMs = 60_000): Grant => ({ amount, validMs });

test("the first request waits for its grant; those after it live on the rest", () => {
  const bench = new Bench();
  expect(bench.take()).toBe("waits");
  expect(bench.asked).toEqual([10]);
  bench.answer(granted(10));
  expect(bench.told).toEqual([true]);
  expect([1, 2, 3, 4].map(() => bench.take())).toEqual(Array(4).fill("granted"));
  expect(bench.asked).toEqual([10]);
});

test("more is fetched when half of the demand is left, while requests go on", () => {
  const bench = new Bench();
  bench.take();
  bench.answer(granted(10));
  while (bench.asked.length === 1) expect(bench.take()).toBe("granted");
  // 4 are left: the 7th request saw that.
  expect(bench.asked).toEqual([10, 10]);
  expect(bench.take()).toBe("granted");
});

test("who comes while a fetch is under way waits with the others; one more fetch is made", () => {
  const bench = new Bench();
  expect(Array.from({ length: 15 }, () => bench.take())).toEqual(Array(15).fill("waits"));
  expect(bench.asked).toEqual([10]);
  bench.answer(granted(10));
  expect(bench.told).toEqual(Array(10).fill(true));
  expect(bench.asked).toEqual([10, 10]);
  bench.answer(granted(2));
  expect(bench.told).toEqual([...Array(12).fill(true), ...Array(3).fill(false)]);
});

test("after a refusal nobody asks for a while, and then one does", () => {
  const bench = new Bench();
  bench.take();
  bench.answer(granted(0));
  expect(bench.told).toEqual([false]);
  bench.nowMs = 499;
  expect(bench.take()).toBe("denied");
  bench.nowMs = 500;
  expect(bench.take()).toBe("waits");
  expect(bench.take()).toBe("denied");
  expect(bench.asked).toEqual([10, 10]);
});

test("a mixer that cannot be asked neither grants nor denies: the fail policy decides", () => {
  const bench = new Bench();
  bench.take();
  bench.take();
  bench.answer(undefined);
  expect(bench.told).toEqual([undefined, undefined]);
  expect(bench.take()).toBe("waits");
});

test("tokens end with their validity, counted from when they were asked for", () => {
  const bench = new Bench();
  bench.take();
  bench.nowMs = 300;
  bench.answer(granted(10, 1_000));
  bench.nowMs = 999;
  expect(bench.take()).toBe("granted");
  bench.nowMs = 1_000;
  expect(bench.take()).toBe("waits");
});

test("an amount is granted as a whole or not at all", () => {
  const bench = new Bench();
  bench.take(3);
  bench.answer(granted(4));
  expect(bench.told).toEqual([true]);
  expect(bench.take(2)).toBe("denied");
  expect(bench.take(1)).toBe("granted");
});

test("a fetch follows the demand of the last second", () => {
  const bench = new Bench();
  bench.take();
  bench.answer(granted(10));
  for (let i = 0; i < 200; i++) {
    bench.nowMs = i * 10;
    bench.take();
    while (bench.asked.length > 1) bench.answer(granted(bench.asked.pop()!));
  }
  bench.asked.length = 0;
  for (bench.nowMs = 2_000; bench.asked.length === 0; bench.nowMs += 10) bench.take();
  expect(bench.asked[0]).toBeWithin(95, 106);
});

test("optimistic: the first request passes before anybody granted it", () => {
  const bench = new Bench(true);
  expect(bench.take()).toBe("granted");
  expect(bench.asked).toEqual([10]);
  bench.answer(granted(0));
  expect(bench.take()).toBe("denied");
});

test("optimistic: a mixer that cannot be asked has granted all", () => {
  const bench = new Bench(true);
  bench.take();
  bench.answer(undefined);
  expect(Array.from({ length: 9 }, () => bench.take())).toEqual(Array(9).fill("granted"));
});

test("never more is spent than was granted, whoever asks when", () => {
  let state = 7;
  const random = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state % below;
  };
  const bench = new Bench();
  let [given, spent, answered] = [0, 0, 0];
  for (let i = 0; i < 5_000; i++) {
    bench.nowMs += random(40);
    const amount = 1 + random(3);
    const told = bench.told.length;
    const taken = bench.take(amount);
    if (taken === "granted") spent += amount;
    if (random(3) > 0 || answered === bench.asked.length) continue;
    const asked = bench.asked[answered++]!;
    const grant = random(asked + 1);
    given += grant;
    bench.answer(granted(grant));
    expect(bench.told.length).toBeGreaterThanOrEqual(told);
    expect(spent).toBeLessThanOrEqual(given);
  }
  expect(spent).toBeGreaterThan(100);
});

test("nobody waits for ever: at most 10,000 do", () => {
  const bench = new Bench();
  for (let i = 0; i < 10_000; i++) bench.take();
  expect(bench.take()).toBe("denied");
});
