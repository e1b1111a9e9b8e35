/** What callers send, what becomes of it, and what we say that an answer depends on. */
import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { CompressedAttributesSchema } from "../api/gen/istio/mixer/v1/attributes_pb.ts";
import { decodeAttributes, encodeAttributes, messageLimits } from "./attribute-message.ts";
import { MutableBag, type WireValue } from "./bag.ts";
import { byteLength, bytesOfText, compareText, textOfBytes } from "./byte-text.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import { Fault } from "./fault.ts";
import { globalWords } from "./global-dictionary.ts";
import { formatIpAddress, ipAddressesEqual, parseIpAddress } from "./ip-address.ts";
import { encodeReferences, TrackedBag } from "./reference.ts";
import { formatTimestamp, parseTimestamp } from "./timestamp.ts";
import type { StringMap } from "./value.ts";
import { Vocabulary } from "./vocabulary.ts";

const values = new Map<string, WireValue>([
  ["source.name", { type: "STRING", value: "web" }],
  ["request.size", { type: "INT64", value: 9007199254740993n }],
  ["source.ip", { type: "BYTES", value: Uint8Array.of(10, 0, 0, 1) }],
  ["request.time", { type: "TIMESTAMP", value: { seconds: -1, nanos: 5 } }],
  ["response.duration", { type: "DURATION", value: -1_500_000_000 }],
  ["request.headers", { type: "STRING_MAP", value: new Map([["x-id", "7"]]) }],
]);

test("what is encoded is decoded, whatever part of the global list the reader knows", () => {
  const message = encodeAttributes(values);
  const decoded = decodeAttributes(message, { words: message.words, global: globalWords });
  expect(decoded).toEqual({ ok: true, values, left: [] });
});

test("what cannot be decoded reads as absent; a delta with such a part is refused whole", () => {
  const message = create(CompressedAttributesSchema, {
    words: ["a", "b"],
    strings: { [-1]: 999, [-2]: -1 },
    bools: { [-2]: true },
    timestamps: { 5: { seconds: 1n << 60n, nanos: 0 } },
  });
  const lists = { words: message.words, global: globalWords };
  const decoded = decodeAttributes(message, lists);
  expect(decoded.ok && [...decoded.values]).toEqual([["b", { type: "STRING", value: "a" }]]);
  expect(decoded.ok && decoded.left.map(({ reason }) => reason)).toEqual([
    "unknown-word",
    "duplicate-attribute",
    "bad-timestamp",
  ]);
  const strict = decodeAttributes(message, lists, true);
  expect(strict).toMatchObject({ ok: false, reason: "unknown-word" });
});

test("a message beyond a limit is refused, with the reason", () => {
  const words = new Array<string>(messageLimits.words + 1).fill("x");
  const message = create(CompressedAttributesSchema);
  expect(decodeAttributes(message, { words, global: [] })).toMatchObject({
    reason: "too-many-words",
  });
  const large = create(CompressedAttributesSchema, {
    strings: { 0: -1, 1: -1, 2: -1, 3: -1, 4: -1 },
  });
  const text = ["x".repeat(1024 * 1024)];
  expect(decodeAttributes(large, { words: text, global: globalWords })).toMatchObject({
    reason: "too-much-text",
  });
});

test("references name gaps and values, and of maps the keys", () => {
  const vocabulary = new Vocabulary([
    ["a", "STRING"],
    ["b", "STRING"],
    ["m", "STRING_MAP"],
  ]);
  const bag = new MutableBag(vocabulary);
  expect(bag.set("a", { type: "STRING", value: "1" })).toBe(true);
  expect(bag.set("c", { type: "STRING", value: "1" })).toBe(false);
  bag.set("m", { type: "STRING_MAP", value: new Map([["k", "v"]]) });
  bag.set("b", { type: "INT64", value: 1 });
  expect(bag.read(1)).toEqual(new Fault("error converting value to string: '1'"));
  bag.setSlot(1, undefined);
  const tracked = new TrackedBag(vocabulary, bag);
  tracked.read(0);
  tracked.read(1);
  (tracked.read(2) as StringMap).get("k");
  (tracked.read(2) as StringMap).get("none");
  const fork = tracked.fork();
  expect(fork.references()).toEqual([
    { name: "a", condition: "EXACT" },
    { name: "b", condition: "ABSENCE" },
    { name: "m", condition: "EXACT", mapKey: "k" },
    { name: "m", condition: "ABSENCE", mapKey: "none" },
  ]);
  expect(encodeReferences(fork.references(), 0).words).toEqual(["a", "b", "m", "k", "none"]);
  (fork.read(2) as StringMap).get("later");
  expect(tracked.references()).toHaveLength(4);
  (fork.read(2) as StringMap).entries();
  expect([tracked.nameable, fork.nameable]).toEqual([true, false]);
});

test("durations, times and addresses as text", () => {
  for (const text of ["1h30m0s", "-1.5ms", "0s", "42ns", "2562047h47m16.854775807s"])
    expect(formatDuration(parseDuration(text)!)).toBe(text);
  for (const text of ["", "+", "1", "1d", "5s ", ".s", "2562047h47m16.854775808s"])
    expect(parseDuration(text)).toBeUndefined();
  expect(parseDuration("0.3333333333333333333h")).toBe(1_200_000_000_000);
  expect(formatTimestamp(parseTimestamp("2015-01-02T17:04:35.5+02:00")!)).toBe(
    "2015-01-02T15:04:35.5Z",
  );
  for (const text of ["2015-02-30T15:04:35Z", "2015-01-02T15:04:60Z", "2015-01-02 15:04:35Z"])
    expect(parseTimestamp(text)).toBeUndefined();
  for (const text of ["1.2.3.4", "::1", "2001:db8::a", "::", "1:0:0:2::3"])
    expect(formatIpAddress(parseIpAddress(text)!)).toBe(text);
  expect(ipAddressesEqual(parseIpAddress("1.2.3.4")!, Uint8Array.of(1, 2, 3, 4))).toBe(true);
  expect(ipAddressesEqual(parseIpAddress("::102:304")!, Uint8Array.of(1, 2, 3, 4))).toBe(false);
});

test("text keeps every byte, counts bytes and orders by them", () => {
  for (const bytes of [
    [0x61, 0xff, 0xc3, 0xa9],
    [0xed, 0xa0, 0x80],
    [0xf0, 0x9f, 0x98, 0x80],
  ]) {
    const text = textOfBytes(Uint8Array.from(bytes));
    expect([...bytesOfText(text)]).toEqual(bytes);
    expect(byteLength(text)).toBe(bytes.length);
  }
  expect(compareText("\uffff", "\u{10000}")).toBeLessThan(0);
  expect(compareText("a", "ab")).toBeLessThan(0);
});
