/** What is kept of a request for a further try, from one request to the next. */
import { expect, test } from "bun:test";
import { ReplayBuffer } from "./replay-buffer.ts";

const bytesMax = 8_192;
const add = (replay: ReplayBuffer, text: string): void => {
  const bytes = Buffer.from(`>${text}<`);
  replay.add(bytes, 1, bytes.length - 1);
};
const kept = (replay: ReplayBuffer): string =>
  Buffer.from(replay.bytes.subarray(0, replay.length)).toString();

test("pieces are kept in their order, as long as there is room", () => {
  const replay = new ReplayBuffer(bytesMax);
  let wanted = "";
  for (let i = 0; i < 1_000; i++) {
    add(replay, `${i},`);
    wanted += `${i},`;
  }
  expect(kept(replay)).toBe(wanted);
  expect(replay.complete).toBe(true);
});

test("up to the bound, and nothing past it", () => {
  const replay = new ReplayBuffer(bytesMax);
  add(replay, "x".repeat(bytesMax));
  expect([replay.complete, replay.length]).toEqual([true, bytesMax]);
  add(replay, "y");
  expect([replay.complete, replay.length, replay.bytes.length]).toEqual([false, 0, 0]);
  add(replay, "z");
  expect([replay.complete, replay.length]).toEqual([false, 0]);
});

test.each([
  ["a short one", 100, true],
  ["a long one, whose memory is given up", 5_000, false],
  ["one too long to be kept", bytesMax + 1, false],
])("the next request begins with nothing of the one before: %s", (_what, length, keepsMemory) => {
  const replay = new ReplayBuffer(bytesMax);
  add(replay, "x".repeat(length));
  const { bytes } = replay;
  replay.clear();
  expect([replay.complete, kept(replay)]).toEqual([true, ""]);
  add(replay, "next");
  expect([replay.complete, kept(replay)]).toEqual([true, "next"]);
  expect(replay.bytes === bytes).toBe(keepsMemory);
});
