/** Bursts become one effect, and a steady stream of causes cannot put it off for ever. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { Debounce } from "./debounce.ts";

function open() {
  const clock = new VirtualClock();
  const ranAtMs: number[] = [];
  const run = (): void => void ranAtMs.push(clock.nowMs());
  return { clock, ranAtMs, debounce: new Debounce({ clock, quietMs: 10, latestMs: 25, run }) };
}

test("runs once when it has been quiet", () => {
  const { clock, ranAtMs, debounce } = open();
  debounce.cause();
  clock.advance(5);
  debounce.cause();
  clock.advance(100);
  expect(ranAtMs).toEqual([15]);
});

test("runs at the latest so long after the first cause", () => {
  const { clock, ranAtMs, debounce } = open();
  for (let i = 0; i < 10; i++) {
    debounce.cause();
    clock.advance(6);
  }
  expect(ranAtMs).toEqual([25, 55]);
});

test("flushes what is waiting, and nothing else", () => {
  const { clock, ranAtMs, debounce } = open();
  debounce.flush();
  expect(ranAtMs).toEqual([]);
  debounce.cause();
  debounce.flush();
  clock.advance(100);
  expect(ranAtMs).toEqual([0]);
  debounce.cause();
  debounce.close();
  clock.advance(100);
  expect(ranAtMs).toEqual([0]);
  expect(clock.waiting).toBe(0);
});
