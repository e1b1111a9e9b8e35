/** The ring against a list of strings, and work that grows with its input and no faster. */
import { expect, test } from "bun:test";
import { seededRandom } from "../core/random.ts";
import { expectLinear } from "../testing/growth.ts";
import { latin1, octets } from "../testing/http1-stream.ts";
import { DynamicTable } from "./dynamic-table.ts";
import { HpackDecoder, Step } from "./hpack-decoder.ts";

test.each([64, 200, 4096])("a table of %d octets holds what a list would", (bytesMax) => {
  const random = seededRandom(bytesMax);
  const table = new DynamicTable(bytesMax);
  let list: string[] = [];
  let sizeMax: number = bytesMax;
  const sizeOf = (lines: string[]): number =>
    lines.reduce((sum, line) => sum + line.length + 28, 0);
  for (let round = 0; round < 5_000; round++) {
    if (random() < 0.02) {
      sizeMax = Math.floor(random() * (bytesMax + 1));
      table.resize(sizeMax);
    } else {
      const nameLength = Math.floor(random() * 20);
      const valueLength = Math.floor(random() ** 4 * bytesMax);
      const value = String(round).padEnd(valueLength, "v").slice(0, valueLength);
      const line = `${"n".repeat(nameLength)}: ${value}\r\n`;
      table.insert(octets(line), 0, nameLength, valueLength);
      list = [line, ...list];
    }
    while (sizeOf(list) > sizeMax) list.pop();
    expect(table.count).toBe(list.length);
    expect(table.size).toBe(sizeOf(list));
    const lines = list.map((_, age) => {
      const slot = table.slotOf(age);
      const start = table.start[slot]!;
      return latin1(
        table.ring,
        start,
        start + table.nameLength[slot]! + table.valueLength[slot]! + 4,
      );
    });
    expect(lines).toEqual(list);
  }
});

test("decoding grows with the block, not faster", () => {
  const field = octets("\x40\x01a\x81\x1f");
  expectLinear((n) => {
    const block = new Uint8Array(n * field.length);
    for (let i = 0; i < n; i++) block.set(field, i * field.length);
    const decoder = new HpackDecoder(4096);
    decoder.out = new Uint8Array(100);
    decoder.begin(block, 0, block.length);
    let fields = 0;
    while (decoder.next() === Step.field) fields++;
    expect(fields).toBe(n);
  }, 1500);
});
