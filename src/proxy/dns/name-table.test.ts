/** Which names the mesh answers itself, with what. */
import { expect, test } from "bun:test";
import { NameTable } from "./name-table.ts";

const table = new NameTable(
  [
    { names: ["reviews", "reviews.default"], addresses: ["240.240.1.2"] },
    { names: ["ratings", "reviews"], addresses: ["10.0.0.9", "fd00::9"] },
    { names: ["nowhere"], addresses: [] },
  ],
  ["corp.example", "default"],
);

const rows: readonly (readonly [string, string | undefined])[] = [
  ["reviews", "240.240.1.2"],
  ["reviews.default", "240.240.1.2"],
  ["reviews.corp.example", "240.240.1.2"],
  ["reviews.default.corp.example", "240.240.1.2"],
  ["ratings", "10.0.0.9"],
  ["ratings.default", "10.0.0.9"],
  ["nowhere", undefined],
  ["details", undefined],
  ["xreviews", undefined],
  ["reviewscorp.example", undefined],
  ["reviews.other.example", undefined],
  ["corp.example", undefined],
  ["", undefined],
];

test.each([...rows])("%s is at %s", (name, address) => {
  expect(table.find(name)?.ipv4[0]?.join(".")).toBe(address);
});

test("addresses are by family, as they stand in an answer", () => {
  expect(table.find("ratings")?.ipv6[0]?.toHex()).toBe("fd000000000000000000000000000009");
  expect(table.find("reviews")?.ipv6).toEqual([]);
});
