/** What is kept for peers that do not read: who goes when it is too much. */
import { expect, test } from "bun:test";
import { Held, HeldBytes } from "./held-bytes.ts";

/** Holders by name, who note that they were shed and then hold nothing. */
function setUp(bytesMax: number) {
  const seen = { bytes: 0, shed: 0 };
  const owner = new HeldBytes(bytesMax, {
    held: {
      set(bytes) {
        seen.bytes = bytes;
      },
    },
    shed: {
      increment() {
        seen.shed++;
      },
    },
  });
  const shed: string[] = [];
  const hold = (name: string): Held => {
    const held: Held = new Held(owner, {
      shed() {
        shed.push(name);
        held.set(0);
      },
    });
    return held;
  };
  return { owner, shed, hold, seen };
}

test("below the bound everybody stays", async () => {
  const { owner, shed, hold } = setUp(100);
  const [a, b] = [hold("a"), hold("b")];
  a.set(60);
  b.set(40);
  await Promise.resolve();
  expect([shed, owner.bytes, owner.isTight]).toEqual([[], 100, true]);
  a.set(0);
  b.set(50);
  expect([owner.bytes, owner.isTight]).toEqual([50, false]);
});

test("past it those go that have taken nothing for longest, until there is room", async () => {
  const { owner, shed, hold, seen } = setUp(100);
  const all = ["a", "b", "c", "d"].map(hold);
  for (const held of all) held.set(25);
  // It reads, if slowly.
  all[0]!.moved();
  hold("e").set(30);
  expect(shed).toEqual([]);
  await Promise.resolve();
  expect(shed).toEqual(["b", "c"]);
  expect(owner.bytes).toBe(80);
  expect(seen).toEqual({ bytes: 80, shed: 2 });
});

test("whoever holds more while going away counts no more, and may hold again", async () => {
  const owner = new HeldBytes(10);
  const slow: Held = new Held(owner, { shed() {} });
  slow.set(20);
  await Promise.resolve();
  expect(owner.bytes).toBe(0);
  slow.set(30);
  expect(owner.bytes).toBe(0);
  slow.set(0);
  slow.set(5);
  expect(owner.bytes).toBe(5);
});

test("one that holds too much alone goes too, whoever left from the middle", async () => {
  const { owner, shed, hold } = setUp(100);
  const [a, b, c] = [hold("a"), hold("b"), hold("c")];
  for (const held of [a, b, c]) held.set(10);
  b.set(0);
  b.set(10);
  c.set(0);
  c.moved();
  hold("d").set(1_000);
  await Promise.resolve();
  expect(shed).toEqual(["a", "b", "d"]);
  expect(owner.bytes).toBe(0);
});
