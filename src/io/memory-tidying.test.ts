/** When memory is tidied: after changes, not because of each, and though they never end. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { MemoryTidying, SETTLED_MS, UNSETTLED_MS } from "./memory-tidying.ts";

function setUp() {
  const clock = new VirtualClock();
  const done: string[] = [];
  const note = (what: string) => (): void => void done.push(`${what} at ${clock.nowMs()}`);
  const tidying = new MemoryTidying({
    clock,
    settled: note("settled"),
    unsettled: note("unsettled"),
  });
  return { clock, done, tidying };
}

test("once after a burst of changes, when they have settled", () => {
  const { clock, done, tidying } = setUp();
  clock.advance(SETTLED_MS + UNSETTLED_MS);
  expect(done).toEqual([]);
  const startMs = clock.nowMs();
  for (let i = 0; i < 3; i++) {
    tidying.cause();
    clock.advance(100);
  }
  clock.advance(10 * UNSETTLED_MS);
  expect(done).toEqual([`settled at ${startMs + 200 + SETTLED_MS}`]);
});

test("once in a while if changes never settle, and once more when they do", () => {
  const { clock, done, tidying } = setUp();
  const startMs = clock.nowMs();
  let lastMs = 0;
  for (let ms = 0; ms <= 2.5 * UNSETTLED_MS; ms += 1_000) {
    lastMs = clock.nowMs();
    tidying.cause();
    clock.advance(1_000);
  }
  clock.advance(UNSETTLED_MS);
  expect(done).toEqual([
    `unsettled at ${startMs + UNSETTLED_MS}`,
    `unsettled at ${startMs + 2 * UNSETTLED_MS}`,
    `settled at ${lastMs + SETTLED_MS}`,
  ]);
});

test("never after the end", () => {
  const { clock, done, tidying } = setUp();
  tidying.cause();
  tidying.close();
  clock.advance(UNSETTLED_MS);
  expect(done).toEqual([]);
});
