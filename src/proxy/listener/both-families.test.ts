/** Where a sidecar listens beside what its flags say. */
import { expect, test } from "bun:test";
import { besideInIpv6 } from "./both-families.ts";

const rows: readonly (readonly [string, string, string | undefined])[] = [
  ["loopback of IPv4: that of IPv6 too", "127.0.0.1", "::1"],
  ["every address of IPv4: those of IPv6 too", "0.0.0.0", "::"],
  ["a socket for both families: no other", "::", undefined],
  ["loopback of IPv6 alone, as somebody chose", "::1", undefined],
  ["one address", "10.0.0.1", undefined],
  ["another address of loopback", "127.0.0.2", undefined],
  ["a name", "localhost", undefined],
];

test.each([...rows])("%s", (_what, hostname, beside) => {
  const wanted = beside === undefined ? undefined : { hostname: beside, port: 15001 };
  expect(besideInIpv6({ hostname, port: 15001 })).toEqual(wanted);
});
