/** Keys with one hash are still told apart, and growth loses none. */
import { describe, expect, test } from "bun:test";
import { encode } from "./byte-range.ts";
import { ByteTable } from "./byte-table.ts";

describe("a table", () => {
  test("tells keys of one hash apart by all of their bytes", () => {
    const table = new ByteTable();
    const keys = ["ab", "abc", "b", ""];
    for (const [number, key] of keys.entries()) expect(table.insert(7, encode(key))).toBe(number);
    const find = (text: string): number => table.find(7, encode(`xx${text}yy`), 2, text.length);
    expect(keys.map(find)).toEqual([0, 1, 2, 3]);
    expect(["a", "abcd", "bc", "ac"].map(find)).toEqual([-1, -1, -1, -1]);
    expect(table.find(8, encode("ab"), 0, 2)).toBe(-1);
  });

  test("gives a key that is known its number again", () => {
    const table = new ByteTable();
    expect([table.insert(1, encode("a")), table.insert(1, encode("a"))]).toEqual([0, 0]);
    expect(table.size).toBe(1);
  });

  test("keeps a thousand keys, whatever their hashes", () => {
    for (const hashOf of [(i: number) => i, (i: number) => i % 3, (i: number) => -i]) {
      const table = new ByteTable();
      for (let i = 0; i < 1_000; i++) table.insert(hashOf(i), encode(String(i)));
      for (let i = 0; i < 1_000; i++) {
        const key = encode(String(i));
        expect(table.find(hashOf(i), key, 0, key.length)).toBe(i);
      }
    }
  });
});
