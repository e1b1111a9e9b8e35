/** Timers that end with their sidecar. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { ClosableClock } from "./closable-clock.ts";

test("closing ends the timers that are left, and no other", () => {
  const outer = new VirtualClock();
  const clock = new ClosableClock(outer);
  const fired: string[] = [];
  outer.after(50, () => fired.push("outer"));
  clock.after(10, () => fired.push("early"));
  clock.after(20, () => fired.push("cancelled"))();
  clock.after(30, () => fired.push("late"));
  outer.advance(15);
  clock.close();
  expect(outer.waiting).toBe(1);
  outer.advance(100);
  expect(fired).toEqual(["early", "outer"]);
});
