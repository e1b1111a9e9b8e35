/** Which numbers are prime. */
import { expect, test } from "bun:test";
import { isPrime } from "./prime.ts";

test("primes have no divisors but one and themselves", () => {
  const below40 = Array.from({ length: 40 }, (_, n) => n).filter(isPrime);
  expect(below40).toEqual([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]);
  expect([65_537, 65_535, 65_537 * 65_537, -7].map(isPrime)).toEqual([true, false, false, false]);
});
