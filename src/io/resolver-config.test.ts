/** /etc/resolv.conf as it is found in the wild. */
import { expect, test } from "bun:test";
import { parseResolverConfig, readResolverConfig } from "./resolver-config.ts";

test("a file of Kubernetes", () => {
  const text =
    "search default.svc.cluster.local svc.cluster.local cluster.local\n" +
    "nameserver 10.96.0.10\noptions ndots:5\n";
  expect(parseResolverConfig(text)).toEqual({
    nameservers: ["10.96.0.10"],
    search: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
  });
});

const rows: readonly (readonly [string, string, readonly string[], readonly string[]])[] = [
  [
    "comments and blanks",
    "# nameserver 1.1.1.1\n\t nameserver\t8.8.8.8 # here\n;x\n",
    ["8.8.8.8"],
    [],
  ],
  [
    "a fourth resolver is not asked",
    "nameserver 1.1.1.1\n".repeat(4),
    Array(3).fill("1.1.1.1"),
    [],
  ],
  ["a name is no address", "nameserver dns.example\nnameserver fd00::53\n", ["fd00::53"], []],
  ["the last search counts", "domain a.example\nsearch B.Example. .\n", [], ["b.example"]],
  ["nothing", "", [], []],
];

test.each([...rows])("%s", (_what, text, nameservers, search) => {
  expect(parseResolverConfig(text)).toEqual({ nameservers, search });
});

test("no file is no resolver", () => {
  expect(readResolverConfig("/nonexistent")).toEqual({ nameservers: [], search: [] });
});
