/** PROXY protocol headers: what they say, how they are cut, and what is refused. */
import { describe, expect, test } from "bun:test";
import { cuts, describeCuts } from "../../testing/cuts.ts";
import { expectLinear } from "../../testing/growth.ts";
import { crc32c } from "./crc32c.ts";
import {
  decodeProxyHeader,
  encodeProxyV1,
  encodeProxyV2,
  mayBeProxyHeader,
  PROXY_HEADER_BYTES_MAX,
  type ProxyHeaderResult,
} from "./proxy-protocol.ts";

const SIGNATURE = "0d0a0d0a000d0a515549540a";
const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");
const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(" ", ""), "hex");
const v2 = (rest: string): Uint8Array => hex(SIGNATURE + rest);

/** "ip4 192.0.2.1:56324 > 198.51.100.7:443", as an operator would write it. */
function shown(result: ProxyHeaderResult): string {
  if (result.at !== "header") return result.at === "bad" ? `bad: ${result.why}` : result.at;
  const { family, local, source, destination, tlvs } = result.header;
  const ends = [source, destination].map(({ address, port }) => `${address}:${port}`).join(" > ");
  const extra = tlvs.map(({ type, value }) => ` ${type}=${Buffer.from(value).toString("latin1")}`);
  return `${local ? "local " : ""}${family} ${ends}${extra.join("")}`;
}

const ip4 = "c0000201 c6336407 dc04 01bb";
const ip6 =
  "20010db8000000000000000000000001 20010db8000000000000000000000002".replaceAll(" ", "") +
  "dc04 01bb";
const path = (name: string): string =>
  Buffer.from(name.padEnd(108, "\0"), "latin1").toString("hex");

const sound: readonly (readonly [name: string, bytes: Uint8Array, says: string])[] = [
  [
    "version 1, IPv4",
    bytesOf("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"),
    "ip4 192.0.2.1:56324 > 198.51.100.7:443",
  ],
  [
    "version 1, IPv6 in a long form",
    bytesOf("PROXY TCP6 2001:DB8:0:0::1 2001:db8::2 1 65535\r\n"),
    "ip6 2001:db8::1:1 > 2001:db8::2:65535",
  ],
  [
    "version 1, the longest",
    bytesOf(`PROXY TCP6 ${"ffff:".repeat(7)}ffff ${"ffff:".repeat(7)}ffff 65535 65535\r\n`),
    `ip6 ${"ffff:".repeat(7)}ffff:65535 > ${"ffff:".repeat(7)}ffff:65535`,
  ],
  ["version 1, unknown", bytesOf("PROXY UNKNOWN\r\n"), "none :0 > :0"],
  ["version 1, unknown with words", bytesOf("PROXY UNKNOWN what ever\r\n"), "none :0 > :0"],
  ["version 2, IPv4", v2(`2111000c ${ip4}`), "ip4 192.0.2.1:56324 > 198.51.100.7:443"],
  ["version 2, IPv4 datagrams", v2(`2112000c ${ip4}`), "ip4 192.0.2.1:56324 > 198.51.100.7:443"],
  ["version 2, IPv6", v2(`21210024 ${ip6}`), "ip6 2001:db8::1:56324 > 2001:db8::2:443"],
  [
    "version 2, unix sockets",
    v2(`213100d8 ${path("/run/a.sock")} ${path("\0abstract")}`),
    "unix /run/a.sock:0 > @abstract:0",
  ],
  [
    "version 2, a path that fills its place",
    v2(`213100d8 ${path("x".repeat(108))} ${path("")}`),
    `unix ${"x".repeat(108)}:0 > :0`,
  ],
  ["version 2, local", v2("20000000"), "local none :0 > :0"],
  ["version 2, local with something to skip", v2("20ff0003 ffffff"), "local none :0 > :0"],
  ["version 2, unspecified with a TLV", v2("21000004 02000161"), "none :0 > :0 2=a"],
  [
    "version 2, TLVs, padding left out",
    v2(`21110017 ${ip4} 02 0001 61 04 0001 00 05 0000`),
    "ip4 192.0.2.1:56324 > 198.51.100.7:443 2=a 5=",
  ],
];

describe("a header says who is at the other end", () => {
  for (const [name, bytes, says] of sound)
    test(name, () => {
      expect(shown(decodeProxyHeader(bytes))).toBe(says);
      const more = Buffer.concat([bytes, bytesOf("GET / HTTP/1.1\r\n")]);
      expect(decodeProxyHeader(more)).toMatchObject({ at: "header", length: bytes.length });
      for (const chunks of cuts(bytes, 1)) {
        let seen = new Uint8Array(0);
        for (const chunk of chunks.slice(0, -1)) {
          seen = Buffer.concat([seen, chunk]);
          expect(mayBeProxyHeader(seen)).toBe(true);
          expect([describeCuts(chunks), decodeProxyHeader(seen).at]).toEqual([
            describeCuts(chunks),
            "incomplete",
          ]);
        }
      }
    });
});

const unsound: readonly (readonly [name: string, bytes: Uint8Array, why: string])[] = [
  ["something else", bytesOf("GET / HTTP/1.1\r\n"), "does not begin with a PROXY protocol header"],
  ["lower case", bytesOf("proxy "), "does not begin with a PROXY protocol header"],
  [
    "UDP",
    bytesOf("PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n"),
    "has a protocol other than TCP4, TCP6 and UNKNOWN",
  ],
  ["UNKNOWNS", bytesOf("PROXY UNKNOWNS\r\n"), "has a protocol other than TCP4, TCP6 and UNKNOWN"],
  ["no ports", bytesOf("PROXY TCP4 1.1.1.1 1.1.1.1\r\n"), "has not two addresses and two ports"],
  [
    "two spaces",
    bytesOf("PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n"),
    "has not two addresses and two ports",
  ],
  [
    "a space at the end",
    bytesOf("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n"),
    "has not two addresses and two ports",
  ],
  [
    "a leading zero",
    bytesOf("PROXY TCP4 01.1.1.1 1.1.1.1 1 1\r\n"),
    "has an address that is none of TCP4",
  ],
  [
    "the other family",
    bytesOf("PROXY TCP4 ::1 1.1.1.1 1 1\r\n"),
    "has an address that is none of TCP4",
  ],
  [
    "IPv4 as IPv6",
    bytesOf("PROXY TCP6 1.1.1.1 ::1 1 1\r\n"),
    "has an address that is none of TCP6",
  ],
  ["a zone", bytesOf("PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n"), "has an address that is none of TCP6"],
  ["port 65536", bytesOf("PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n"), "has a port that is none"],
  ["port 01", bytesOf("PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n"), "has a port that is none"],
  ["port -1", bytesOf("PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n"), "has a port that is none"],
  ["a bare LF", bytesOf("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n"), "has a bare LF"],
  ["a bare CR", bytesOf("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\rX"), "has a bare CR"],
  ["108 bytes", bytesOf(`PROXY UNKNOWN ${"x".repeat(92)}\r\n`), "is longer than 107 bytes"],
  ["no end", bytesOf(`PROXY UNKNOWN ${"x".repeat(200)}`), "is longer than 107 bytes"],
  ["version 3", v2(`3111000c ${ip4}`), "has a version other than 2"],
  ["version 1 in binary", v2(`1111000c ${ip4}`), "has a version other than 2"],
  ["command 2", v2(`2211000c ${ip4}`), "has a command other than LOCAL and PROXY"],
  ["family 4", v2(`2141000c ${ip4}`), "has an address family that is not defined"],
  ["transport 3", v2(`2113000c ${ip4}`), "has an address family that is not defined"],
  ["too short for IPv4", v2("2111000b c0000201 c6336407 dc0401"), "is too short for its addresses"],
  [
    "too short for a path",
    v2(`213100d7 ${path("a")} ${path("b").slice(2)}`),
    "is too short for its addresses",
  ],
  ["half a TLV", v2(`2111000e ${ip4} 0200`), "ends within a TLV"],
  ["a TLV that is cut", v2(`21110010 ${ip4} 02000261`), "ends within a TLV"],
  [
    "a short checksum",
    v2(`21110010 ${ip4} 03000161`),
    "has a checksum that is not four bytes long",
  ],
  ["a wrong checksum", v2(`21110013 ${ip4} 03000400000000`), "has a checksum that does not fit"],
  ["too long", v2(`2111ffff ${ip4}`), `is longer than ${PROXY_HEADER_BYTES_MAX} bytes`],
];

describe("a header is refused for", () => {
  for (const [name, bytes, why] of unsound)
    test(name, () => {
      expect(shown(decodeProxyHeader(bytes))).toBe(`bad: ${why}`);
      // Once bad, more bytes do not mend it.
      const more = Buffer.concat([bytes, Buffer.alloc(300, 0x20)]);
      expect(decodeProxyHeader(more).at).toBe("bad");
    });
});

test("107 bytes are a whole header of version 1, 108 are not waited for", () => {
  const line = (length: number): string => `PROXY UNKNOWN ${"x".repeat(length - 16)}\r\n`;
  expect(decodeProxyHeader(bytesOf(line(107)))).toMatchObject({ at: "header", length: 107 });
  expect(decodeProxyHeader(bytesOf(line(107).slice(0, 106))).at).toBe("incomplete");
  expect(decodeProxyHeader(bytesOf(line(108).slice(0, 107))).at).toBe("bad");
});

test("the checksum is CRC-32C, over the header with zeros in its place", () => {
  expect(crc32c(bytesOf("123456789"))).toBe(0xe3069283);
  const header = v2(`21110013 ${ip4} 03000400000000`);
  new DataView(header.buffer, header.byteOffset).setUint32(31, crc32c(header));
  expect(shown(decodeProxyHeader(header))).toBe("ip4 192.0.2.1:56324 > 198.51.100.7:443");
});

const from4 = { address: "192.0.2.1", port: 56_324 };
const to4 = { address: "198.51.100.7", port: 443 };
const to6 = { address: "2001:db8::2", port: 443 };

describe("what we send", () => {
  const rows: readonly (readonly [string, Uint8Array, string])[] = [
    ["version 1", encodeProxyV1(from4, to4), "ip4 192.0.2.1:56324 > 198.51.100.7:443"],
    [
      "version 1, families mixed",
      encodeProxyV1(from4, to6),
      "ip6 192.0.2.1:56324 > 2001:db8::2:443",
    ],
    ["version 1, no source", encodeProxyV1(undefined, to4), "none :0 > :0"],
    ["version 1, a name", encodeProxyV1({ address: "host", port: 1 }, to4), "none :0 > :0"],
    ["version 2", encodeProxyV2(from4, to4), "ip4 192.0.2.1:56324 > 198.51.100.7:443"],
    [
      "version 2, families mixed",
      encodeProxyV2(from4, to6),
      "ip6 192.0.2.1:56324 > 2001:db8::2:443",
    ],
    ["version 2, IPv6", encodeProxyV2(to6, to6), "ip6 2001:db8::2:443 > 2001:db8::2:443"],
    ["version 2, no source", encodeProxyV2(undefined, undefined), "local none :0 > :0"],
    [
      "version 2, with TLVs",
      encodeProxyV2(from4, to4, [{ type: 2, value: bytesOf("a.b") }]),
      "ip4 192.0.2.1:56324 > 198.51.100.7:443 2=a.b",
    ],
    [
      "version 2, a name, with TLVs",
      encodeProxyV2({ address: "host", port: 1 }, to4, [{ type: 2, value: bytesOf("a") }]),
      "none :0 > :0 2=a",
    ],
  ];
  for (const [name, bytes, says] of rows)
    test(name, () => {
      expect(shown(decodeProxyHeader(bytes))).toBe(says);
      expect(decodeProxyHeader(bytes)).toMatchObject({ length: bytes.length });
    });
});

test("four times the TLVs take four times as long", () => {
  const headers = [1, 4].map((times) =>
    encodeProxyV2(
      from4,
      to4,
      Array.from({ length: 300 * times }, () => ({ type: 9, value: new Uint8Array(8) })),
    ),
  );
  expectLinear((n) => {
    for (let i = 0; i < 10; i++) decodeProxyHeader(headers[n === 1 ? 0 : 1]!);
  }, 1);
});
