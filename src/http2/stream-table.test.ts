/** Finding streams by identifier, in whatever order they come to their end. */
import { expect, test } from "bun:test";
import { seededRandom } from "../core/random.ts";
import { expectRatio } from "../testing/growth.ts";
import { Stream, type StreamOwner } from "./stream.ts";
import { Ending, StreamTable } from "./stream-table.ts";

const nobody = {} as StreamOwner<unknown>;
const streamOf = (id: number): Stream => new Stream(nobody, id);

test("what was added is found until it is removed, whoever else comes and goes", () => {
  const seed = 20_261_128;
  const random = seededRandom(seed);
  for (let round = 0; round < 40; round++) {
    const table = new StreamTable<unknown>();
    const wanted = new Map<number, Stream>();
    const most = 1 + Math.floor(random() ** 2 * 200);
    let lastId = -1;
    for (let step = 0; step < 2_000; step++) {
      if (wanted.size < most && random() < 0.55) {
        // Identifiers may be left out; the oldest streams live longest.
        lastId += 2 * (1 + Math.floor(random() ** 8 * 300));
        const stream = streamOf(lastId);
        table.add(stream);
        wanted.set(lastId, stream);
      } else if (wanted.size > 0) {
        const ids = [...wanted.keys()];
        const id = ids[Math.floor(Math.sqrt(random()) * ids.length)]!;
        table.remove(id);
        table.remove(id);
        wanted.delete(id);
        if (table.find(id) !== undefined) throw new Error(`seed ${seed}: ${id} is still found`);
      }
      const hidden = [...wanted].find(([id, stream]) => table.find(id) !== stream);
      if (hidden !== undefined) throw new Error(`seed ${seed}: ${hidden[0]} is hidden`);
    }
    expect(table.count).toBe(wanted.size);
    expect(new Set(table.all())).toEqual(new Set(wanted.values()));
  }
});

test("an identifier that was never added is not found, and removing it does nothing", () => {
  const table = new StreamTable<unknown>();
  const stream = streamOf(1);
  table.add(stream);
  table.remove(33);
  expect([table.find(33), table.find(1), table.count]).toEqual([undefined, stream, 1]);
});

test("how a stream ended is known for the last few hundred", () => {
  const table = new StreamTable<unknown>();
  for (let id = 1; id < 2_000; id += 2) table.ended(id, Ending.whole);
  table.ended(2_001, Ending.weReset);
  const endings = [2_001, 1_999, 1_601, 1, 2_003].map((id) => table.endingOf(id));
  const { weReset, whole, unknown } = Ending;
  expect(endings).toEqual([weReset, whole, whole, unknown, unknown]);
});

/**
 * Milliseconds for 20,000 streams that come and go, `count` at a time, the first come first gone;
 * `step` from one identifier to the next; `hasOld`: the very first one stays.
 */
function turnOver(count: number, step: number, hasOld: boolean): void {
  const table = new StreamTable<unknown>();
  const idOf = (n: number): number => 1 + n * step;
  const first = hasOld ? 1 : 0;
  for (let n = 0; n < first + count; n++) table.add(streamOf(idOf(n)));
  for (let n = first; n < 20_000; n++) {
    table.remove(idOf(n));
    table.add(streamOf(idOf(n + count)));
  }
  expect(table.count).toBe(first + count);
  expect(table.find(1)?.id).toBe(hasOld ? 1 : undefined);
}

test.each([
  ["identifiers as they come", 2, false],
  ["one stream that lives for ever", 2, true],
  ["identifiers that all want the same slot", 4_096, true],
])("a thousand streams cost what ten do: %s", (_what, step, hasOld) => {
  expectRatio({
    base: () => turnOver(10, step, hasOld),
    other: () => turnOver(1_000, step, hasOld),
    below: 8,
  });
});
