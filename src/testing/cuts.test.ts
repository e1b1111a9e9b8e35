/** Every way of cutting gives the same bytes back. */
import { expect, test } from "bun:test";
import { cuts, describeCuts, randomCuts } from "./cuts.ts";

const bytes = Buffer.from("GET / HTTP/1.1\r\n\r\n");

test("whole, byte by byte, in two at every offset, and at random: always the same bytes", () => {
  const all = [...cuts(bytes, 1)];
  expect(all.length).toBe(2 + (bytes.length - 1) + 20);
  for (const chunks of all) {
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
    expect(chunks.every((chunk) => chunk.length > 0)).toBe(true);
  }
  expect(all[0]!.length).toBe(1);
  expect(all[1]!.length).toBe(bytes.length);
  expect(new Set(all.map(describeCuts)).size).toBeGreaterThan(bytes.length);
});

test("the same seed cuts the same, another seed otherwise", () => {
  const of = (seed: number): string => [...randomCuts(bytes, seed, 5)].map(describeCuts).join("; ");
  expect(of(7)).toBe(of(7));
  expect(of(7)).not.toBe(of(8));
});
