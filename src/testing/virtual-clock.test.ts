/** A minute of timers in no time at all, in an order that never varies. */
import { expect, test } from "bun:test";
import { VirtualClock } from "./virtual-clock.ts";

test("timers run at their own moment, in order, and a cancelled one does not run", () => {
  const clock = new VirtualClock();
  const log: string[] = [];
  const note = (what: string) => (): void => void log.push(`${clock.nowMs()} ${what}`);
  clock.after(2_000, note("idle timeout"));
  const cancel = clock.after(1_000, note("request timeout"));
  clock.after(500, () => {
    note("reply")();
    cancel();
    clock.after(100, note("retry"));
  });
  clock.after(500, note("second at the same moment"));
  expect(clock.waiting).toBe(4);
  clock.advance(60_000);
  expect(log).toEqual([
    "500 reply",
    "500 second at the same moment",
    "600 retry",
    "2000 idle timeout",
  ]);
  expect([clock.waiting, clock.nowMs()]).toEqual([0, 60_000]);
});

test("the time of day moves with it", () => {
  const clock = new VirtualClock(Date.UTC(2026, 10, 22));
  clock.advance(1_500);
  expect(new Date(clock.wallMs()).toISOString()).toBe("2026-11-22T00:00:01.500Z");
});

test("after a stall timers come late, and see the late time", () => {
  const clock = new VirtualClock();
  let ranAtMs = 0;
  clock.after(10, () => {
    ranAtMs = clock.nowMs();
  });
  clock.stall(1_000);
  expect(ranAtMs).toBe(0);
  clock.advance(0);
  expect(ranAtMs).toBe(1_000);
});
