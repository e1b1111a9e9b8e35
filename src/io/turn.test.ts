/** The end of a turn of the event loop. */
import { expect, test } from "bun:test";
import { Turn } from "./turn.ts";

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("users hear of the end of the turn once, in the order in which they asked", async () => {
  const turn = new Turn();
  const heard: string[] = [];
  for (const name of ["a", "b"]) turn.add({ turnEnded: () => heard.push(name) });
  expect(heard).toEqual([]);
  await nextTurn();
  expect(heard).toEqual(["a", "b"]);
  await nextTurn();
  expect(heard).toEqual(["a", "b"]);
});

test("who asks while a turn ends is told at the end of the next", async () => {
  const turn = new Turn();
  let count = 0;
  const user = {
    turnEnded: () => {
      if (++count < 3) turn.add(user);
    },
  };
  turn.add(user);
  await nextTurn();
  expect(count).toBe(1);
  await nextTurn();
  await nextTurn();
  expect(count).toBe(3);
});

test("whoever cannot wait ends the turn, and nobody hears of it twice", async () => {
  const turn = new Turn();
  let count = 0;
  turn.add({ turnEnded: () => count++ });
  turn.end();
  expect(count).toBe(1);
  await nextTurn();
  expect(count).toBe(1);
});
