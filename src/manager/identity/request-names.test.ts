/** Whom a request may name: its sender, and nobody else. */
import { expect, test } from "bun:test";
import { judgeNames } from "./request-names.ts";
import type { AlternativeName } from "./subject-alt-name.ts";

const id = { trustDomain: "cluster.local", namespace: "default", account: "reviews" };
const uri = (value: string): AlternativeName => ({ kind: "uri", value });
const own = uri("spiffe://cluster.local/ns/default/sa/reviews");

const rows: readonly (readonly [
  names: readonly AlternativeName[],
  commonNames: readonly string[],
  verdict: string,
])[] = [
  [[], [], "fits"],
  [[own], [], "fits"],
  [[own], ["reviews"], "fits"],
  [[], ["reviews.default"], "fits"],
  [[], [own.value], "fits"],
  [[own, own], [], "improper"],
  [[own, uri("spiffe://cluster.local/ns/default/sa/ratings")], [], "improper"],
  [[{ kind: "dns", value: "reviews" }], [], "improper"],
  [[{ kind: "ip", value: "10.0.0.1" }], [], "improper"],
  [[{ kind: "other", value: "[1]" }], [], "improper"],
  [[uri("spiffe://cluster.local/ns/default/sa/ratings")], [], "another"],
  [[uri("spiffe://elsewhere/ns/default/sa/reviews")], [], "another"],
  [[uri("spiffe://cluster.local/ns/other/sa/reviews")], [], "another"],
  [[uri("https://example.com/")], [], "another"],
  [[own], ["ratings"], "another"],
  [[], ["spiffe://cluster.local/ns/default/sa/ratings"], "another"],
  [[], ["reviews.other"], "another"],
  [[], ["reviews", "ratings"], "another"],
  [[], [""], "another"],
];

test.each(rows)("%j with subject %j: %s", (names, commonNames, verdict) => {
  expect(judgeNames({ publicKey: Buffer.alloc(0), names, commonNames }, id).at).toBe(
    verdict as "fits",
  );
});
