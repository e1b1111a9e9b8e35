/** Who flooded us: remembered for a minute, and never more of them than fit. */
import { expect, test } from "bun:test";
import { Failures } from "../../core/failure.ts";
import { isFlood, Offenders } from "./offenders.ts";

test("an address is remembered for a minute after its last flood", () => {
  const offenders = new Offenders();
  expect(offenders.has("10.0.0.1", 0)).toBe(false);
  offenders.add("10.0.0.1", 0);
  expect(offenders.has("10.0.0.1", 59_999)).toBe(true);
  expect(offenders.has("10.0.0.2", 0)).toBe(false);
  offenders.add("10.0.0.1", 59_999);
  expect(offenders.has("10.0.0.1", 119_998)).toBe(true);
  expect(offenders.has("10.0.0.1", 119_999)).toBe(false);
});

test("1,024 addresses are remembered: who flooded longest ago is forgotten first", () => {
  const offenders = new Offenders();
  for (let i = 0; i < 1_024; i++) offenders.add(`a${i}`, i);
  offenders.add("a0", 1_024);
  offenders.add("new", 1_025);
  const known = ["a0", "a1", "a2", "a1023", "new"].filter((one) => offenders.has(one, 2_000));
  expect(known).toEqual(["a0", "a2", "a1023", "new"]);
});

test("256 connections are held back, and others as soon as one is let go", () => {
  const offenders = new Offenders();
  for (let i = 0; i < 256; i++) expect(offenders.holdBack(0)).toBeDefined();
  expect(offenders.holdBack(0)).toBeUndefined();
  offenders.letGo();
  expect(offenders.holdBack(0)).toBeDefined();
  expect(offenders.holdBack(0)).toBeUndefined();
});

test("each is held for a second at least, and no two end within 100 ms", () => {
  const offenders = new Offenders();
  expect([0, 0, 50].map((ms) => offenders.holdBack(ms))).toEqual([1_000, 1_100, 1_200]);
  expect(offenders.holdBack(5_000)).toBe(6_000);
});

test("floods are what is sound one by one, and too much", () => {
  const floods = [Failures.rapidReset, Failures.headerBomb];
  expect(floods.map(isFlood)).toEqual([true, true]);
  const others = [Failures.http2Protocol, Failures.headTimeout, Failures.downstreamGone];
  expect(others.map(isFlood)).toEqual([false, false, false]);
});
