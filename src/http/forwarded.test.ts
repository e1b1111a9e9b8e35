/** Forwarded, as RFC 7239 has it, and what is not believed; and addresses as text. */
import { expect, test } from "bun:test";
import { isIP } from "node:net";
import { seededRandom } from "../core/random.ts";
import { expectLinear } from "../testing/growth.ts";
import { octets } from "../testing/http1-stream.ts";
import { ForwardedList } from "./forwarded.ts";
import { isIpLiteral } from "./ip-literal.ts";

/** The address of each element, "-" where it names none; undefined: not well formed. */
function addresses(...values: readonly string[]): string[] | undefined {
  const list = new ForwardedList();
  const found: string[] = [];
  for (const value of values) {
    const bytes = octets(`#${value}=a`);
    const before = list.count;
    if (!list.add(bytes, 1, bytes.length - 2)) return undefined;
    for (let i = before; i < list.count; i++)
      found.push(
        list.forStart[i] === -1 ? "-" : value.slice(list.forStart[i]! - 1, list.forEnd[i]! - 1),
      );
  }
  return found;
}

test.each([
  ["for=192.0.2.43", ["192.0.2.43"]],
  ['For="[2001:db8:cafe::17]:4711"', ["2001:db8:cafe::17"]],
  ["for=192.0.2.60;proto=http;by=203.0.113.43", ["192.0.2.60"]],
  ['for="192.0.2.43:47011"', ["192.0.2.43"]],
  ["for=192.0.2.43, for=198.51.100.17", ["192.0.2.43", "198.51.100.17"]],
  ["for=192.0.2.43,\tfor=unknown", ["192.0.2.43", "-"]],
  ['for=_hidden, for="_SEVKISEK:_port"', ["-", "-"]],
  ["proto=https;host=a.example", ["-"]],
  ['host="a.example:80";x=y', ["-"]],
])("%s names %p", (value, want) => expect(addresses(value)).toEqual(want));

test("fields of one request are one list", () => {
  expect(addresses("for=192.0.2.43", "for=_a, for=10.0.0.1")).toEqual([
    "192.0.2.43",
    "-",
    "10.0.0.1",
  ]);
});

test.each([
  "",
  "for",
  "for=",
  "=a",
  "for=192.0.2.43;",
  "for=192.0.2.43; proto=http",
  "for=192.0.2.43,",
  ",for=192.0.2.43",
  "for=192.0.2.43 for=192.0.2.44",
  "for=192.0.2.43;for=192.0.2.44",
  "proto=http;Proto=https",
  "for=192.0.2.256",
  "for=192.0.2",
  "for=2001:db8::1",
  "for=[2001:db8::1]",
  'for="2001:db8::1"',
  'for="[2001:db8::1"',
  'for="[2001:db8::1]x"',
  'for="[2001:db8::1]:123456"',
  'for="192.0.2.43:"',
  'for="192.0.2.43:a"',
  'for="192.0.2.43',
  'for="192.0.2.\\43"',
  "for=somebody",
  "for=_",
  "for=_a/b",
  'for="_a:unknown:1"',
  "for =192.0.2.43",
])("%p is not believed", (value) => expect(addresses(value)).toBeUndefined());

test("a list of more than 64 hops is not believed", () => {
  const hops = (n: number): string => Array.from({ length: n }, () => "for=_a").join(",");
  expect(addresses(hops(64))).toHaveLength(64);
  expect(addresses(hops(65))).toBeUndefined();
  expectLinear((n) => void addresses(`for=_${"a".repeat(n)}`), 20_000);
});

test("an address is what everybody takes for the same", () => {
  const random = seededRandom(5);
  const parts = ["1", "25", "255", "256", "01", "0", ".", ".", ":", ":", "::", "a", "ffff", "g"];
  const known = [
    "1.2.3.4",
    "01.2.3.4",
    "1.2.3.00",
    "1.2.3.0",
    "::1.2.3.04",
    "::",
    "::1",
    "1::",
    "a:b:c:d:e:f:1:2",
    "a:b:c:d:e:f:1.2.3.4",
    "::ffff:1.2.3.4",
    "a:b:c:d:e:f:1:2:3",
    "a::b::c",
    ":a:b:c:d:e:f:1",
    "a:b:c:d:e:f:1:",
    "a:b:c:d:e:f:1::",
    "::a:b:c:d:e:f:1:2",
    "1.2.3.4:",
    ":::",
    "12345::",
    "1.2.3.4::",
    "a:b:c:d:e:f:1:1.2.3.4",
  ];
  for (let round = 0; round < 20_000; round++) {
    let text = known[round] ?? "";
    if (round >= known.length)
      while (random() < 0.9) text += parts[Math.floor(random() * parts.length)];
    const bytes = octets(`:${text}.`);
    expect([text, isIpLiteral(bytes, 1, bytes.length - 1)]).toEqual([text, isIP(text) !== 0]);
  }
});
