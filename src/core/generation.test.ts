/** What an exchange may rely on while configuration changes under it. */
import { expect, test } from "bun:test";
import { AssertionError } from "./assert.ts";
import { GenerationCell } from "./generation.ts";

const snapshot = (route: string): { readonly route: string } => Object.freeze({ route });

test("an exchange keeps the snapshot it began with", () => {
  const cell = new GenerationCell(snapshot("v1"), () => {});
  const begun = cell.acquire();
  cell.publish(snapshot("v2"));
  expect(begun.snapshot.route).toBe("v1");
  expect(cell.acquire().snapshot.route).toBe("v2");
});

test("a replaced generation retires at its last release, not before", () => {
  const retired: number[] = [];
  const cell = new GenerationCell(snapshot("v1"), (g) => retired.push(g.number));
  const [first, second] = [cell.acquire(), cell.acquire()];
  cell.publish(snapshot("v2"));
  cell.release(first);
  expect(retired).toEqual([]);
  cell.release(second);
  expect(retired).toEqual([1]);
});

test("a generation nobody used retires as soon as it is replaced", () => {
  const retired: number[] = [];
  const cell = new GenerationCell(snapshot("v1"), (g) => retired.push(g.number));
  cell.publish(snapshot("v2"));
  cell.publish(snapshot("v3"));
  expect(retired).toEqual([1, 2]);
  expect(cell.current.number).toBe(3);
});

test("releasing more often than acquiring is our own mistake", () => {
  const cell = new GenerationCell(snapshot("v1"), () => {});
  const generation = cell.acquire();
  cell.release(generation);
  expect(() => cell.release(generation)).toThrow(AssertionError);
});
