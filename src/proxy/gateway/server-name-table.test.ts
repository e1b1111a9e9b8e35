/** Which certificate a client gets, by the server name that it asks for. */
import { expect, test } from "bun:test";
import type { KeyedCertificate } from "../../io/certificate.ts";
import { ServerNameTable } from "./server-name-table.ts";

const there = new Set(["shop", "wild", "any"]);
const table = new ServerNameTable((name) =>
  there.has(name) ? ({ file: name } as KeyedCertificate) : undefined,
);

function shown(serverName: string): string | undefined {
  return table.find(serverName)?.file;
}

test("the very name, else a wildcard for its first label, else nobody's", () => {
  table.publish([
    { name: "shop", hosts: ["shop.example", "a.wild.example"] },
    { name: "wild", hosts: ["*.wild.example"] },
    { name: "gone", hosts: ["gone.example"] },
  ]);
  const rows: readonly (readonly [serverName: string, certificate: string | undefined])[] = [
    ["shop.example", "shop"],
    ["a.wild.example", "shop"],
    ["b.wild.example", "wild"],
    ["c.b.wild.example", undefined],
    ["wild.example", undefined],
    ["gone.example", undefined],
    ["other.example", undefined],
    ["", "shop"],
  ];
  for (const row of rows) expect([row[0], shown(row[0])]).toEqual([...row]);
});

test("one that is for any host serves names that no other is for", () => {
  table.publish([
    { name: "shop", hosts: ["shop.example"] },
    { name: "any", hosts: [] },
  ]);
  expect(["shop.example", "x.example", ""].map(shown)).toEqual(["shop", "any", "shop"]);
});

test("a host whose own certificate is missing gets no other", () => {
  table.publish([
    { name: "gone", hosts: ["gone.example"] },
    { name: "any", hosts: [] },
  ]);
  expect(["gone.example", "x.example", ""].map(shown)).toEqual([undefined, "any", undefined]);
});

test("a name is claimed by the certificate that is named for it, there or not", () => {
  table.publish([{ name: "gone", hosts: ["gone.example", "*.wild.example"] }]);
  const names = ["gone.example", "a.wild.example", "x.example", ""];
  expect(names.map((name) => table.claims(name))).toEqual([true, true, false, true]);
  table.publish([]);
  expect(["gone.example", ""].map((name) => table.claims(name))).toEqual([false, false]);
});
