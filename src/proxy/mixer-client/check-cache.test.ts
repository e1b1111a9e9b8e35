/** Which answers of the mixer are used again, for whom, how long and how often. */
import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import {
  ReferencedAttributes_Condition as Condition,
  ReferencedAttributesSchema,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import { MutableBag } from "../../attribute/bag.ts";
import { encodeReferences, type Reference, TrackedBag } from "../../attribute/reference.ts";
import { parseTimestamp } from "../../attribute/timestamp.ts";
import type { Value } from "../../attribute/value.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import type { MixerAnswer } from "../policy/mixer-seat.ts";
import { CheckCache } from "./check-cache.ts";
import { shapeOf } from "./referenced-shape.ts";

const vocabulary = new Vocabulary([
  ["source.user", "STRING"],
  ["request.path", "STRING"],
  ["request.headers", "STRING_MAP"],
  ["request.size", "INT64"],
  ["response.size", "INT64"],
  ["request.time", "TIMESTAMP"],
  ["source.ip", "IP_ADDRESS"],
  ["connection.mtls", "BOOL"],
]);

function request(values: Readonly<Record<string, Value>>): MutableBag {
  const bag = new MutableBag(vocabulary);
  for (const [name, value] of Object.entries(values)) {
    const { slot } = vocabulary.find(name)!;
    bag.setSlot(slot, value);
  }
  return bag;
}

const headers = (fields: Record<string, string>): ReadonlyMap<string, string> =>
  new Map(Object.entries(fields));

const exact = (name: string, mapKey?: string): Reference => ({
  name,
  condition: "EXACT",
  ...(mapKey === undefined ? {} : { mapKey }),
});
const absent = (name: string, mapKey?: string): Reference => ({
  ...exact(name, mapKey),
  condition: "ABSENCE",
});

function answer(message: string): MixerAnswer {
  const headerless = { requestHeaders: [], responseHeaders: [] };
  const code = message === "" ? 0 : 7;
  const facts = { at: "answered", rule: "", retryAfterMs: 0 } as const;
  return { ...facts, code, message, direct: undefined, ...headerless };
}

const lasting = { durationMs: Infinity, useCount: -1, nowMs: 0 };

function store(
  cache: CheckCache,
  asked: MutableBag,
  references: readonly Reference[],
  { says = "", ...validity }: Partial<typeof lasting> & { says?: string } = {},
): boolean {
  const message = encodeReferences(references, 222);
  const shape = shapeOf(message, vocabulary, asked);
  return cache.store(asked, shape, answer(says), { ...lasting, ...validity });
}

const alice = request({ "source.user": "alice", "request.path": "/" });

test.each<[why: string, references: Reference[], other: MutableBag, hit: boolean]>([
  ["it refers to nothing", [], request({ "source.user": "bob" }), true],
  [
    "the same user, another path",
    [exact("source.user")],
    request({ "source.user": "alice", "request.path": "/b" }),
    true,
  ],
  ["another user", [exact("source.user")], request({ "source.user": "bob" }), false],
  ["no user", [exact("source.user")], request({}), false],
  ["there is now what was absent", [absent("request.size")], request({ "request.size": 0 }), false],
  [
    "absent again",
    [absent("request.size"), exact("source.user")],
    request({ "source.user": "alice" }),
    true,
  ],
])("%s", (_, references, other, hit) => {
  const cache = new CheckCache(10);
  expect(store(cache, alice, references)).toBe(true);
  expect(cache.lookup(other, 0) !== undefined).toBe(hit);
});

test.each<[name: string, stored: Value, same: Value[], different: Value[]]>([
  ["source.user", "1", ["1"], ["", "11", "1;", "2"]],
  ["request.size", 5, [5], [50, -5, 9_007_199_254_740_993n]],
  ["connection.mtls", false, [false], [true]],
  [
    "request.time",
    parseTimestamp("2026-01-01T00:00:00Z")!,
    [parseTimestamp("2026-01-01T00:00:00Z")!],
    [parseTimestamp("2026-01-01T00:00:00.000000001Z")!],
  ],
  [
    "source.ip",
    new Uint8Array([10, 0, 0, 1]),
    [Uint8Array.fromHex("00000000000000000000ffff0a000001")],
    [new Uint8Array([10, 0, 0, 2]), new Uint8Array([])],
  ],
])("values of %s", (name, stored, same, different) => {
  const cache = new CheckCache(10);
  store(cache, request({ [name]: stored }), [exact(name)]);
  for (const value of same) expect(cache.lookup(request({ [name]: value }), 0)).toBeDefined();
  for (const value of different)
    expect(cache.lookup(request({ [name]: value }), 0)).toBeUndefined();
});

test("two texts do not run into each other", () => {
  const cache = new CheckCache(10);
  const references = [exact("source.user"), exact("request.path")];
  store(cache, request({ "request.path": "ab", "source.user": "c" }), references);
  expect(cache.lookup(request({ "request.path": "a", "source.user": "bc" }), 0)).toBeUndefined();
  store(cache, request({ "request.path": "", "source.user": "1:b" }), references);
  expect(cache.lookup(request({ "request.path": "b", "source.user": "" }), 0)).toBeUndefined();
});

test("nor do two numbers, or a number and a text", () => {
  const cache = new CheckCache(10);
  const sizes = [exact("request.size"), exact("response.size")];
  store(cache, request({ "request.size": 1, "response.size": 12 }), sizes);
  expect(cache.lookup(request({ "request.size": 11, "response.size": 2 }), 0)).toBeUndefined();
  const mixed = [exact("request.size"), exact("source.user")];
  store(cache, request({ "request.size": 1, "source.user": "" }), mixed);
  expect(cache.lookup(request({ "request.size": 10, "source.user": "" }), 0)).toBeUndefined();
});

test("a key of a map that is a word nobody knows is not kept", () => {
  const cache = new CheckCache(10);
  const asked = request({ "request.headers": headers({ a: "b" }) });
  const message = create(ReferencedAttributesSchema, {
    attributeMatches: [{ name: 15, condition: Condition.EXACT, mapKey: -5 }],
  });
  expect(cache.store(asked, shapeOf(message, vocabulary, asked), answer(""), lasting)).toBe(false);
});

test("of a map the keys that were looked up count, and no others", () => {
  const cache = new CheckCache(10);
  const asked = request({ "request.headers": headers({ cookie: "a", "x-other": "1" }) });
  store(cache, asked, [exact("request.headers", "cookie"), absent("request.headers", "via")]);
  const hit = (fields: Record<string, string>): boolean =>
    cache.lookup(request({ "request.headers": headers(fields) }), 0) !== undefined;
  expect([
    hit({ cookie: "a" }),
    hit({ cookie: "b" }),
    hit({}),
    hit({ cookie: "a", via: "" }),
  ]).toEqual([true, false, false, false]);
  expect(cache.lookup(request({}), 0)).toBeUndefined();
});

test("a map that was not there is absent as a whole", () => {
  const cache = new CheckCache(10);
  store(cache, request({}), [absent("request.headers")]);
  expect(cache.lookup(request({}), 0)).toBeDefined();
  expect(cache.lookup(request({ "request.headers": headers({}) }), 0)).toBeUndefined();
});

test("what was tracked at the mixer is what is found again here", () => {
  const cache = new CheckCache(10);
  const asked = request({ "request.headers": headers({ cookie: "a" }), "source.user": "u" });
  const tracked = new TrackedBag(vocabulary, asked);
  tracked.read(vocabulary.find("source.user")!.slot);
  (tracked.read(vocabulary.find("request.headers")!.slot) as Map<string, string>).get("cookie");
  expect(store(cache, asked, tracked.references())).toBe(true);
  expect(cache.lookup(asked, 0)).toBeDefined();
});

test.each([
  ["a word that nobody knows", { attributeMatches: [{ name: -1, condition: Condition.EXACT }] }],
  [
    "an attribute that is not ours",
    { words: ["x"], attributeMatches: [{ name: -1, condition: Condition.EXACT }] },
  ],
  [
    "a regular expression",
    { attributeMatches: [{ name: 17, condition: Condition.REGEX, regex: ".*" }] },
  ],
  ["no condition", { attributeMatches: [{ name: 17 }] }],
  [
    "what the request itself has and should not",
    { attributeMatches: [{ name: 17, condition: Condition.ABSENCE }] },
  ],
  [
    "what the request itself lacks",
    { attributeMatches: [{ name: 0, condition: Condition.EXACT }] },
  ],
  ["a map as a whole", { attributeMatches: [{ name: 15, condition: Condition.EXACT }] }],
])("an answer that refers to %s is not kept", (_, message) => {
  const cache = new CheckCache(10);
  const references = create(ReferencedAttributesSchema, message);
  const shape = shapeOf(references, vocabulary, alice);
  expect(cache.store(alice, shape, answer(""), lasting)).toBe(false);
  expect(cache.lookup(alice, 0)).toBeUndefined();
});

test("an answer ends with its time, at the millisecond", () => {
  const cache = new CheckCache(10);
  store(cache, alice, [], { durationMs: 1_000, nowMs: 500 });
  expect(cache.lookup(alice, 1_499)).toBeDefined();
  expect(cache.lookup(alice, 1_500)).toBeUndefined();
  expect(cache.size).toBe(0);
});

test("an answer is used as often as the mixer allows", () => {
  const cache = new CheckCache(10);
  store(cache, alice, [], { useCount: 2 });
  const hits = [1, 2, 3].map(() => cache.lookup(alice, 0) !== undefined);
  expect(hits).toEqual([true, true, false]);
  expect(store(cache, alice, [], { useCount: 0 })).toBe(false);
  expect(store(cache, alice, [], { durationMs: 0 })).toBe(false);
});

test("denials are kept like any answer", () => {
  const cache = new CheckCache(10);
  store(cache, alice, [exact("source.user")], { says: "no" });
  expect(cache.lookup(alice, 0)).toMatchObject({ code: 7, message: "no" });
});

test("another generation of the configuration voids every answer", () => {
  const cache = new CheckCache(10);
  cache.setGeneration(1);
  store(cache, alice, []);
  cache.setGeneration(1);
  expect(cache.lookup(alice, 0)).toBeDefined();
  cache.setGeneration(2);
  expect(cache.lookup(alice, 0)).toBeUndefined();
});

test("the answer used longest ago makes room", () => {
  const cache = new CheckCache(2);
  const user = (name: string): MutableBag => request({ "source.user": name });
  for (const name of ["a", "b"]) store(cache, user(name), [exact("source.user")]);
  cache.lookup(user("a"), 0);
  store(cache, user("c"), [exact("source.user")]);
  expect(["a", "b", "c"].map((name) => cache.lookup(user(name), 0) !== undefined)).toEqual([
    true,
    false,
    true,
  ]);
  expect([cache.size, cache.evictions]).toEqual([2, 1]);
});

test("long answers and long keys fill no memory", () => {
  const cache = new CheckCache(10_000);
  const long = "x".repeat(100_000);
  for (let i = 0; i < 500; i++)
    store(cache, request({ "source.user": `${i}${long}` }), [exact("source.user")], { says: long });
  expect(cache.size).toBeWithin(80, 84);
  expect(cache.lookup(request({ "source.user": `499${long}` }), 0)?.message).toBe(long);
});

test("a cache of no entries keeps nothing", () => {
  expect(store(new CheckCache(0), alice, [])).toBe(false);
});

test("a mixer that invents shapes without end fills no memory", () => {
  const cache = new CheckCache(10_000);
  const names = vocabulary.attributes
    .map(({ name }) => name)
    .filter((n) => n !== "request.headers");
  const all = request({
    "source.user": "",
    "request.path": "",
    "request.size": 1,
    "response.size": 1,
    "request.time": { seconds: 0, nanos: 0 },
    "source.ip": new Uint8Array(4),
    "connection.mtls": true,
  });
  for (let set = 0; set < 2 ** names.length; set++)
    store(
      cache,
      all,
      names.filter((_, i) => (set >> i) & 1).map((name) => exact(name)),
    );
  for (let key = 0; key < 200; key++)
    store(cache, request({ "request.headers": headers({ [key]: "" }) }), [
      exact("request.headers", String(key)),
    ]);
  expect(cache.lookup(request({ "request.headers": headers({ 199: "" }) }), 0)).toBeDefined();
  expect(cache.lookup(request({ "request.headers": headers({ 100: "" }) }), 0)).toBeUndefined();
});
