/** Texts of every length and every octet, beside the plainest way to write them. */
import { expect, test } from "bun:test";
import { LineBuffer, Piece, putForeign, putPiece } from "./line-buffer.ts";

const BEFORE = 3;
const LENGTH_MAX = 45;

function foreign(source: Uint8Array, from: number, to: number): string {
  const line = new LineBuffer(LENGTH_MAX * 6 + 16);
  const end = putForeign(line, BEFORE, source, { from, to });
  return line.bytes.toString("latin1", BEFORE, end);
}

function escaped(byte: number): string {
  const c = String.fromCharCode(byte);
  if (c === '"' || c === "\\") return `\\${c}`;
  return byte >= 0x20 && byte < 0x7f ? c : `\\u00${byte.toString(16).padStart(2, "0")}`;
}

test("a text of a peer is escaped wherever in it the octet is, and otherwise as it came", () => {
  for (const length of [1, 7, 20, 21, 24, 25, 26, 27, LENGTH_MAX])
    for (let at = 0; at < length; at++)
      for (let byte = 0; byte < 256; byte++) {
        const source = new Uint8Array(length + 5).fill(0x7e);
        source[2 + at] = byte;
        const expected = "~".repeat(at) + escaped(byte) + "~".repeat(length - at - 1);
        if (foreign(source, 2, 2 + length) === expected) continue;
        expect([length, at, byte, foreign(source, 2, 2 + length)]).toEqual([expected]);
      }
  expect(foreign(new Uint8Array(4), 2, 2)).toBe("");
});

test("one odd octet does not hide another", () => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  for (let from = 0; from + LENGTH_MAX <= 256; from++)
    expect(foreign(all, from, from + LENGTH_MAX)).toBe(
      Array.from(all.subarray(from, from + LENGTH_MAX), escaped).join(""),
    );
});

test("a piece of any length is written as it is, at any offset", () => {
  const ascii = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i)).join("");
  for (let length = 0; length <= ascii.length; length++) {
    const line = new LineBuffer(ascii.length + 32);
    const end = putPiece(line.view, length % 11, new Piece(ascii.slice(95 - length)));
    expect(line.bytes.toString("latin1", length % 11, end)).toBe(ascii.slice(95 - length));
  }
});
