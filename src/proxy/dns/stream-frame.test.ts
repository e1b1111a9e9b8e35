/** Messages behind their lengths come out whole, however the stream is cut. */
import { expect, test } from "bun:test";
import { cuts, describeCuts } from "../../testing/cuts.ts";
import { expectLinear } from "../../testing/growth.ts";
import { frame, StreamFrames } from "./stream-frame.ts";

const messages = ["a", "bc", "x".repeat(40)].map((text) => Buffer.from(text));
const stream = Buffer.concat(messages.map(frame));

test("at every cut", () => {
  for (const chunks of cuts(stream, 3)) {
    const frames = new StreamFrames(40);
    const found = chunks.flatMap((chunk) => frames.push(chunk) ?? []);
    expect([describeCuts(chunks), ...found.map(String)]).toEqual([
      describeCuts(chunks),
      ...messages.map(String),
    ]);
    expect(frames.isWaiting).toBe(false);
  }
});

test("the rest is waited for", () => {
  const frames = new StreamFrames(40);
  expect(frames.push(stream.subarray(0, stream.length - 1))?.length).toBe(2);
  expect(frames.isWaiting).toBe(true);
});

test.each([
  ["longer than allowed", [0, 41]],
  ["empty", [0, 0]],
])("ends the stream: a message that is %s", (_what, bytes) => {
  expect(new StreamFrames(40).push(Uint8Array.from(bytes))).toBeUndefined();
  expect(
    new StreamFrames(40).push(Buffer.concat([stream, Uint8Array.from(bytes)])),
  ).toBeUndefined();
});

test("many short messages take time in proportion", () => {
  expectLinear(
    (n) => new StreamFrames(40).push(Buffer.concat(Array(n).fill(frame(messages[0]!)))),
    2_000,
  );
});
