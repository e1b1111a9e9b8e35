/** Whose certificate it is: names as a certificate has them, and who is accepted for whom. */
import { expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import { readAlternativeNames } from "./alternative-name.ts";
import { isExpected, isForHost } from "./peer-identity.ts";

const root = new CertificateAuthority();
const namesOf = (...names: string[]) =>
  readAlternativeNames(
    new X509Certificate(root.issue({ name: "x", for: names }).chain).subjectAltName,
  );

const none = { dns: [], uris: [], uriCount: 0, addresses: [] };

test("the names of a certificate are taken apart by kind", () => {
  expect(
    namesOf("DNS:A.example", "URI:spiffe://mesh/a,b?c", "IP:10.0.0.1", "DNS:*.b.example"),
  ).toEqual({
    dns: ["a.example", "*.b.example"],
    uris: [],
    uriCount: 1,
    addresses: ["020000000a0000010000000000000000"],
  });
  expect(namesOf("URI:spiffe://mesh/ns/a/sa/b").uris).toEqual(["spiffe://mesh/ns/a/sa/b"]);
  expect(readAlternativeNames(undefined)).toEqual(none);
  expect(readAlternativeNames("")).toEqual(none);
});

test.each([
  ["DNS:a.example, URI:spiffe://mesh/admin"],
  ["DNS:a.example\nURI:spiffe://mesh/admin"],
  ['DNS:a", URI:spiffe://mesh/admin'],
  ["DNS:a.example, DNS:bank.example"],
  ["URI:spiffe://mesh/guest, URI:spiffe://mesh/admin"],
  ["DNS:a.example\0, URI:spiffe://mesh/admin"],
])("a certificate whose one name is %j has no name at all", (name) => {
  // That there is a URI is known all the same: whoever must have one alone has it for it.
  expect(namesOf(name)).toEqual({ ...none, uriCount: name.startsWith("URI:") ? 1 : 0 });
});

test.each([
  ["DNS:a.example", "a.example", true],
  ["DNS:a.example", "A.Example", true],
  ["DNS:A.Example", "a.example", true],
  ["DNS:a.example", "b.a.example", false],
  ["DNS:*.example.org", "a.example.org", true],
  ["DNS:*.example.org", "b.a.example.org", false],
  ["DNS:*.example.org", "example.org", false],
  ["DNS:*.org", "example.org", false],
  ["DNS:*", "localhost", false],
  ["DNS:a*.example.org", "ab.example.org", false],
  ["DNS:a.*.org", "a.b.org", false],
  ["DNS:localhost", "localhost", true],
  ["IP:127.0.0.1", "127.0.0.1", true],
  ["IP:127.0.0.1", "127.0.0.2", false],
  ["DNS:127.0.0.1", "127.0.0.1", false],
  ["URI:https://a.example", "a.example", false],
])("%s is a certificate for %s: %j", (name, host, is) => {
  expect(isForHost(namesOf(name), host)).toBe(is);
});

test("IPv6 addresses are compared as addresses", () => {
  const names = readAlternativeNames("IP Address:FE80:0:0:0:0:0:0:1");
  expect(isForHost(names, "fe80::1")).toBe(true);
  expect(isForHost(names, "fe80::2")).toBe(false);
});

test("one accepted SPIFFE id is enough, compared whole; without one the host decides", () => {
  const names = namesOf("URI:spiffe://mesh/ns/a/sa/b");
  const uris = (...list: string[]) => ({ host: "", uris: new Set(list) });
  expect(isExpected(names, uris("spiffe://mesh/ns/x/sa/y", "spiffe://mesh/ns/a/sa/b"))).toBe(true);
  expect(isExpected(names, uris("spiffe://mesh/ns/a/sa/b/c"))).toBe(false);
  expect(isExpected(names, uris("spiffe://mesh/ns/a/sa"))).toBe(false);
  expect(isExpected(names, uris())).toBe(false);
  expect(isExpected(names, { host: "a.example", uris: new Set() })).toBe(false);
  expect(isExpected(namesOf("DNS:a.example"), { host: "a.example", uris: new Set(["x"]) })).toBe(
    true,
  );
});
