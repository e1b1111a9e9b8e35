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
  for (let i = 0; i < 256; i++) expect(offenders.holdBack()).toBe(true);
  expect(offenders.holdBack()).toBe(false);
  offenders.letGo();
  expect([offenders.holdBack(), offenders.holdBack()]).toEqual([true, false]);
});

test("floods are what is sound one by one, and too much", () => {
  const floods = [Failures.rapidReset, Failures.headerBomb];
  expect(floods.map(isFlood)).toEqual([true, true]);
  const others = [Failures.http2Protocol, Failures.headTimeout, Failures.downstreamGone];
  expect(others.map(isFlood)).toEqual([false, false, false]);
});
