/** What a sidecar believes of x-istio-attributes, and what it sends itself. */
import { expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { AttributesSchema } from "../api/gen/istio/mixer/v1/attributes_pb.ts";
import { seededRandom } from "../core/random.ts";
import { expectLinear } from "../testing/growth.ts";
import { isUtf8 } from "./byte-text.ts";
import {
  encodeForwarded,
  ForwardedAttributes,
  forwardedBytesMax,
  forwardedNames,
} from "./forwarded-attributes.ts";

const encoder = new TextEncoder();
const forwarded = new ForwardedAttributes();

/** Values by name; undefined: refused. What stands around it in the head is not looked at. */
function read(header: string): Readonly<Record<string, string>> | undefined {
  const octets = encoder.encode(`AA${header}AA`);
  if (!forwarded.read(octets, 2, octets.length - 2)) {
    for (const i of forwardedNames.keys()) expect(forwarded.text(i)).toBeUndefined();
    return undefined;
  }
  const found = forwardedNames.map((name, i) => [name, forwarded.text(i)] as const);
  return Object.fromEntries(found.filter(([, value]) => value !== undefined)) as Record<
    string,
    string
  >;
}

/** A field of octets: text, a message, or what is no form of it. */
function field(number: number, value: string | Uint8Array): Uint8Array {
  const bytes = typeof value === "string" ? encoder.encode(value) : value;
  return new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(bytes).finish();
}

const join = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);
const message = (...entries: readonly Uint8Array[]): string =>
  join(...entries.map((entry) => field(1, entry))).toBase64();
const entry = (name: string, value: string): Uint8Array =>
  join(field(1, name), field(2, field(2, value)));
const octet = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);

const all = {
  "source.uid": "kubernetes://web-1.default",
  "source.namespace": "default",
  "destination.service.name": "reviews",
  "destination.service.uid": "istio://default/services/reviews",
  "destination.service.host": "reviews.default.svc.cluster.local",
  "destination.service.namespace": "b\u00fccher",
};

test("what is sent is read, and is the same each time", () => {
  expect(read(encodeForwarded(all))).toEqual(all);
  expect(read(encodeForwarded({ "source.uid": "" }))).toEqual({ "source.uid": "" });
  expect(encodeForwarded({})).toBe("");
  expect(read("")).toEqual({});
  const reversed = Object.fromEntries(Object.entries(all).reverse());
  expect(encodeForwarded(reversed)).toBe(encodeForwarded(all));
  expect(encodeForwarded({ "source.uid": "a" })).toBe("ChEKCnNvdXJjZS51aWQSAxIBYQ==");
});

test("of what others send, text by the names on the list is believed", () => {
  const sent = create(AttributesSchema, {
    attributes: {
      "source.uid": { value: { case: "stringValue", value: "u" } },
      "source.namespace": { value: { case: "int64Value", value: 5n } },
      "source.user": { value: { case: "stringValue", value: "root" } },
      "source.labels": {
        value: { case: "stringMapValue", value: { entries: { "source.uid": "x" } } },
      },
      "destination.service.name": { value: { case: undefined } },
      "request.time": { value: { case: "timestampValue", value: { seconds: 1n, nanos: 2 } } },
      "request.size": { value: { case: "doubleValue", value: 1.5 } },
      "connection.mtls": { value: { case: "boolValue", value: true } },
      "source.ip": { value: { case: "bytesValue", value: octet(1, 2, 3, 4) } },
      "response.duration": { value: { case: "durationValue", value: { seconds: 1n, nanos: 0 } } },
      "destination.service.host": { value: { case: "stringValue", value: "h" } },
    },
  });
  expect(read(toBinary(AttributesSchema, sent).toBase64())).toEqual({
    "source.uid": "u",
    "destination.service.host": "h",
  });
});

const uid = { "source.uid": "a" };
test.each<[what: string, header: string, values: object | undefined]>([
  ["a name twice: the last", message(entry("source.uid", "b"), entry("source.uid", "a")), uid],
  [
    "a name twice, last without text",
    message(entry("source.uid", "b"), field(1, "source.uid")),
    {},
  ],
  ["value before name", message(join(field(2, field(2, "a")), field(1, "source.uid"))), uid],
  ["two names in an entry: the last", message(join(field(1, "x"), entry("source.uid", "a"))), uid],
  ["two values: the last", message(join(entry("source.uid", "b"), field(2, field(2, "a")))), uid],
  [
    "text, then another kind",
    message(join(field(1, "source.uid"), field(2, join(field(2, "a"), octet(0x18, 5))))),
    {},
  ],
  [
    "text, then a truth value",
    message(join(field(1, "source.uid"), field(2, join(field(2, "a"), octet(0x28, 1))))),
    {},
  ],
  [
    "text, then a number with a point",
    message(
      join(
        field(1, "source.uid"),
        field(2, join(field(2, "a"), octet(0x21, 0, 0, 0, 0, 0, 0, 0, 0))),
      ),
    ),
    {},
  ],
  [
    "another kind, then text",
    message(join(field(1, "source.uid"), field(2, join(octet(0x18, 5), field(2, "a"))))),
    uid,
  ],
  [
    "text, then fields that are unknown",
    message(
      join(
        field(1, "source.uid"),
        field(2, join(field(2, "a"), field(10, "x"), octet(0x10, 1), octet(0x1d, 1, 2, 3, 4))),
      ),
    ),
    uid,
  ],
  ["a value without a name", message(field(2, field(2, "a"))), {}],
  ["an entry without anything", message(octet()), {}],
  [
    "fields that are unknown, of each kind",
    join(
      octet(0x10, 0xff, 0x01, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4, 0x08, 1),
      field(1, entry("source.uid", "a")),
      field(1000, "x"),
    ).toBase64(),
    uid,
  ],
  ["a length of more octets than it needs", join(octet(0x0a, 0x80, 0x80, 0x00)).toBase64(), {}],
  ["the name in other letters", message(entry("Source.uid", "a")), {}],
  ["more than the name", message(entry("source.uid2", "a")), {}],
  ["the number 0", octet(0, 1).toBase64(), undefined],
  ["a number of more than 32 bits", octet(0x80, 0x80, 0x80, 0x80, 0x10, 1).toBase64(), undefined],
  ["a group", octet(0x1b, 0x1c).toBase64(), undefined],
  ["a kind of wire that there is not", octet(0x0e).toBase64(), undefined],
  ["a number that does not end", new Uint8Array(12).fill(0x80).toBase64(), undefined],
  [
    "a number of eleven octets",
    join(octet(0x10), new Uint8Array(10).fill(0x80), octet(0)).toBase64(),
    undefined,
  ],
  ["a length beyond the end", octet(0x0a, 5, 1).toBase64(), undefined],
  [
    "a length of 64 bits",
    join(octet(0x0a), new Uint8Array(9).fill(0xff), octet(1)).toBase64(),
    undefined,
  ],
  ["an entry's field beyond the entry", octet(0x0a, 2, 0x0a, 3, 1, 1, 1).toBase64(), undefined],
  ["eight octets that are seven", octet(0x11, 1, 2, 3, 4, 5, 6, 7).toBase64(), undefined],
  ["a name that is not UTF-8", message(join(field(1, octet(0xff)))), undefined],
  [
    "a value that is not UTF-8",
    message(join(field(1, "source.uid"), field(2, field(2, octet(0x61, 0xc3))))),
    undefined,
  ],
  ["no base64", "a===", undefined],
  ["three digits", encodeForwarded(uid).replaceAll("=", "").slice(0, -1), undefined],
  ["no padding", encodeForwarded(uid).replaceAll("=", ""), undefined],
  ["padding in the middle", `${encodeForwarded(uid)}ChEK`, undefined],
  ["bits left over", encodeForwarded(uid).replace("YQ==", "YR=="), undefined],
  ["of one octet", encodeForwarded({ "source.uid": "ab" }).replace(/.=$/, "J="), undefined],
  [
    "the alphabet of URLs",
    octet(0x12, 2, 0xfb, 0xff).toBase64({ alphabet: "base64url" }),
    undefined,
  ],
  ["blanks", ` ${encodeForwarded(uid)}   `, undefined],
  ["too long", message(entry("source.uid", "a".repeat(forwardedBytesMax))), undefined],
])("%s", (_, header, values) => {
  expect(read(header)).toEqual(values as never);
});

test("the longest that may be is read", () => {
  const room = (forwardedBytesMax / 4) * 3 - 21;
  const header = message(entry("source.uid", "a".repeat(room)));
  expect(header.length).toBe(forwardedBytesMax);
  expect(read(header)?.["source.uid"]).toHaveLength(room);
  expect(read(message(entry("source.uid", "a".repeat(room + 1))))).toBeUndefined();
});

test("a header that is cut anywhere is refused, or is what its whole entries say", () => {
  const header = encodeForwarded(all);
  const bytes = Uint8Array.fromBase64(header);
  for (let length = 0; length < header.length; length++) {
    const found = read(header.slice(0, length));
    expect(found === undefined || length % 4 === 0).toBe(true);
  }
  for (let length = 0; length < bytes.length; length++) {
    const found = read(bytes.subarray(0, length).toBase64());
    expect(found).toEqual(oracle(bytes.subarray(0, length)) as never);
    expect(all).toMatchObject(found ?? {});
  }
});

/** What the generated code reads, which takes damaged text too. */
function oracle(bytes: Uint8Array): object | undefined {
  try {
    const { attributes } = fromBinary(AttributesSchema, bytes);
    const found = forwardedNames.flatMap((name) => {
      const value = Object.hasOwn(attributes, name) ? attributes[name]?.value : undefined;
      return value?.case === "stringValue" ? [[name, value.value] as const] : [];
    });
    return Object.fromEntries(found);
  } catch {
    return undefined;
  }
}

test("a message that is damaged and still one is read as the generated code reads it", () => {
  const whole = Uint8Array.fromBase64(encodeForwarded(all));
  const random = seededRandom(20_171_208);
  const pick = (n: number): number => Math.floor(random() * n);
  let [same, refused] = [0, 0];
  for (let round = 0; round < 8_000; round++) {
    const bytes = whole.slice(0, whole.length - (round % 3 === 0 ? pick(40) : 0));
    for (let change = pick(3); change >= 0; change--) bytes[pick(bytes.length)] = pick(256);
    const found = read(bytes.toBase64());
    if (found === undefined) refused++;
    // It overlooks kinds of wire that are not the field's; what it would write so is beyond doubt.
    if (!isCanonical(bytes)) continue;
    same++;
    expect([bytes.toHex(), found]).toEqual([bytes.toHex(), oracle(bytes)] as never);
  }
  expect([same > 500, refused > 1_000]).toEqual([true, true]);
});

function isCanonical(bytes: Uint8Array): boolean {
  try {
    return (
      Buffer.compare(toBinary(AttributesSchema, fromBinary(AttributesSchema, bytes)), bytes) === 0
    );
  } catch {
    return false;
  }
}

test("UTF-8 is told from what is not", () => {
  const rows: readonly (readonly [hex: string, isText: boolean])[] = [
    ["", true],
    ["61c3a9e282acf09f9880", true],
    ["80", false],
    ["c3", false],
    ["c080", false],
    ["eda080", false],
    ["e282", false],
    ["f0808080", false],
    ["f4908080", false],
    ["ff", false],
  ];
  for (const [hex, isText] of rows) {
    const bytes = Uint8Array.fromHex(`61${hex}acac`);
    expect([hex, isUtf8(bytes, 1, bytes.length - 2)]).toEqual([hex, isText]);
  }
});

test("four times the header takes less than eight times the time", () => {
  const small = encoder.encode(message(...Array(1_000).fill(octet())));
  const header = message(...Array.from({ length: 60 }, () => entry("source.uidx", "a")));
  expect(read(header)).toEqual({});
  expectLinear((n) => {
    for (let i = 0; i < n; i++) forwarded.read(small, 0, 2_000 - (2_000 % 4));
  }, 50);
  for (const unit of [entry("source.uidx", "a"), octet(), entry("source.uid", "\u20ac")]) {
    const headers = [16, 64].map((n) => encoder.encode(message(...Array(n).fill(unit))));
    expectLinear((n) => {
      const octets = headers[n === 1 ? 0 : 1]!;
      for (let i = 0; i < 200; i++) forwarded.read(octets, 0, octets.length);
    }, 1);
  }
});
