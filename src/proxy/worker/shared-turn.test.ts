/** Threads that append to one file, one at a time. */
import { beforeEach, expect, test } from "bun:test";
import type { LineSink } from "../../telemetry/access-log.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { LineAllowance } from "./line-allowance.ts";
import { SharedTurn } from "./shared-turn.ts";

let clock: VirtualClock;
let written: string[];
/** Ends the write that is under way. */
let finish: ((written: boolean) => void)[];
beforeEach(() => {
  clock = new VirtualClock();
  written = [];
  finish = [];
});

const file: LineSink = {
  write(bytes, done) {
    written.push(new TextDecoder().decode(bytes));
    finish.push(done);
  },
  writeSync: (bytes) => written.push(new TextDecoder().decode(bytes)) > 0,
};

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("the second waits until the first one's write is done", () => {
  const memory = new SharedArrayBuffer(4);
  const [one, two] = [1, 2].map(() => new SharedTurn(memory, file, clock));
  const done: string[] = [];
  one!.write(bytes("a"), (ok) => done.push(`a ${ok}`));
  two!.write(bytes("b"), (ok) => done.push(`b ${ok}`));
  clock.advance(100);
  expect([written, done]).toEqual([["a"], []]);
  finish[0]!(true);
  clock.advance(10);
  expect([written, done]).toEqual([["a", "b"], ["a true"]]);
  finish[1]!(false);
  expect(done).toEqual(["a true", "b false"]);
});

test("a refused write gives the turn back", () => {
  const memory = new SharedArrayBuffer(4);
  const [one, two] = [1, 2].map(() => new SharedTurn(memory, file, clock));
  one!.write(bytes("a"), () => {});
  finish[0]!(false);
  two!.write(bytes("b"), () => {});
  expect(written).toEqual(["a", "b"]);
});

test("in the last moment nobody is waited for", () => {
  const memory = new SharedArrayBuffer(4);
  const [one, two] = [1, 2].map(() => new SharedTurn(memory, file, clock));
  one!.write(bytes("a"), () => {});
  expect(two!.writeSync(bytes("b"))).toBe(true);
  expect(written).toEqual(["a", "b"]);
});

test("lines for taps that have not arrived are bounded, for all threads together", () => {
  const memory = new SharedArrayBuffer(4);
  const [main, one, two] = [1, 2, 3].map(() => new LineAllowance(memory));
  let sent = 0;
  while ((sent % 2 === 0 ? one! : two!).take()) sent++;
  expect(sent).toBe(1_000);
  main!.giveBack();
  expect([one!.take(), two!.take()]).toEqual([true, false]);
});
