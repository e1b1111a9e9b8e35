/** What is a question, what is answered to it byte by byte, and what counts as an answer. */
import { expect, test } from "bun:test";
import { seededRandom } from "../../core/random.ts";
import { answerTo, question } from "../../testing/dns-question.ts";
import { expectLinear } from "../../testing/growth.ts";
import { encodeAnswer, encodeRefusal } from "./encode-answer.ts";
import { answers, type DecodedQuery, decodeQuery, type Query } from "./message.ts";
import { withId } from "./wire.ts";

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replaceAll(/\s/g, ""));
const show = (bytes: Uint8Array): string => bytes.toHex();

function read(bytes: Uint8Array): Query {
  const decoded = decodeQuery(bytes);
  if (decoded.at !== "query") throw new Error(JSON.stringify(decoded));
  return decoded.query;
}

const reviews = hex("1234 0100 0001 0000 0000 0000 07 52657669657773 00 0001 0001");

test("a question, as it stands on the wire", () => {
  expect(read(reviews)).toEqual({
    id: 0x1234,
    name: "reviews",
    type: 1,
    class: 1,
    questionEnd: 25,
    payloadMax: 512,
    hasOpt: false,
    flags: 0x0100,
  });
});

test("names are in lower case; what could be taken for something else is escaped", () => {
  expect(read(question("Reviews.Default.SVC")).name).toBe("reviews.default.svc");
  expect(read(question("")).name).toBe("");
  expect(read(question("_http._tcp.x-1")).name).toBe("_http._tcp.x-1");
  const dotted = hex("0000 0000 0001 0000 0000 0000 03 612e62 01 5c 02 20ff 00 0001 0001");
  expect(read(dotted).name).toBe("a\\046b.\\092.\\032\\255");
});

const sizes: readonly (readonly [number, number])[] = [
  [0, 512],
  [512, 512],
  [600, 600],
  [1_232, 1_232],
  [65_535, 1_232],
];
test.each([...sizes])("an application that takes %d octets by UDP gets %d", (opt, payloadMax) => {
  expect(read(question("reviews", { opt }))).toMatchObject({ payloadMax, hasOpt: true });
});

const label63 = "a".repeat(63);
/** 1 + 3 × 64 + 62 octets: 255 with the root. */
const longest = [label63, label63, label63, "a".repeat(61)].join(".");

test("a name of 255 octets is one, of 256 it is not", () => {
  expect(read(question(longest)).name).toBe(longest);
  expect(decodeQuery(question(`${longest}a`))).toEqual({ at: "refused", code: 1 });
});

const opt = "00 0029 04d0 00000000 0000";
const head = (counts: string): string => `1234 0100 ${counts} 01 61 00 0001 0001`;
const refused: readonly (readonly [what: string, bytes: Uint8Array, found: DecodedQuery])[] = [
  ["an answer", answerTo(reviews, ""), { at: "ignored" }],
  ["a header cut short", reviews.subarray(0, 11), { at: "ignored" }],
  ["a zone update", question("a", { flags: 0x2800 }), { at: "refused", code: 4 }],
  ["a status request", question("a", { flags: 0x1000 }), { at: "refused", code: 4 }],
  ["no question", hex("1234 0100 0000 0000 0000 0000"), { at: "refused", code: 1 }],
  ["two questions", hex(head("0002 0000 0000 0000")), { at: "refused", code: 1 }],
  ["a record that is not there", hex(head("0001 0000 0000 0001")), { at: "refused", code: 1 }],
  ["more behind the end", Buffer.concat([reviews, hex("00")]), { at: "refused", code: 1 }],
  [
    "a pointer in the question",
    hex("1234 0100 0001 0000 0000 0000 c00c 0001 0001"),
    { at: "refused", code: 1 },
  ],
  [
    "a label of a kind that does not exist",
    hex("1234 0100 0001 0000 0000 0000 41 61 00 0001 0001"),
    { at: "refused", code: 1 },
  ],
  [
    "two OPT records",
    hex(`${head("0001 0000 0000 0002")}${opt}${opt}`),
    { at: "refused", code: 1 },
  ],
  ["OPT among answers", hex(`${head("0001 0001 0000 0000")}${opt}`), { at: "refused", code: 1 }],
  [
    "OPT that is not at the root",
    hex(`${head("0001 0000 0000 0001")} 01 61 ${opt}`),
    { at: "refused", code: 1 },
  ],
  [
    "a record longer than the message",
    hex(`${head("0001 0000 0000 0001")} 00 0029 04d0 00000000 0001`),
    { at: "refused", code: 1 },
  ],
  [
    "too many records",
    hex(`${head("0001 0000 0000 0005")}${"00 00fa 00ff 00000000 0000".repeat(5)}`),
    { at: "refused", code: 1 },
  ],
  [
    "longer than any question",
    hex(`${head("0001 0000 0000 0001")} 00 0029 04d0 00000000 0400 ${"00".repeat(1024)}`),
    { at: "refused", code: 1 },
  ],
];
test.each([...refused])("refused: %s", (_what, bytes, found) => {
  expect(decodeQuery(bytes)).toEqual(found);
});

test("a record of a kind that we do not know, with a pointer for a name, is passed over", () => {
  const signed = hex(`${head("0001 0000 0000 0002")}${opt} c00c 00fa 00ff 00000000 0002 abcd`);
  expect(read(signed)).toMatchObject({ name: "a", hasOpt: true });
});

test("cut anywhere, a question is none", () => {
  const whole = question("reviews.default", { opt: 1_232 });
  for (let end = 0; end < whole.length; end++)
    expect(decodeQuery(whole.subarray(0, end)).at).not.toBe("query");
});

test("whatever the bytes are, nothing is thrown, and a name is never longer than it may be", () => {
  const random = seededRandom(11);
  const seeds = [reviews, question(longest, { opt: 4_096 }), answerTo(reviews, "1.2.3.4")];
  for (let i = 0; i < 20_000; i++) {
    const bytes = seeds[i % seeds.length]!.slice();
    for (let n = 0; n < 1 + random() * 4; n++)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    const decoded = decodeQuery(bytes.subarray(0, Math.ceil(random() * bytes.length * 1.5)));
    if (decoded.at === "query") expect(decoded.query.questionEnd).toBeLessThanOrEqual(12 + 255 + 4);
    answers(bytes, reviews, 25);
  }
});

test("reading takes time in proportion", () => {
  const ofLength = (n: number): Uint8Array =>
    hex(
      `${head("0001 0000 0000 0001")} 00 00fa 00ff 00000000 ${n.toString(16).padStart(4, "0")}` +
        "00".repeat(n),
    );
  const inputs = new Map([200, 800].map((n) => [n, ofLength(n)]));
  expectLinear((n) => {
    for (let i = 0; i < 2_000; i++) decodeQuery(inputs.get(n)!);
  }, 200);
});

const none = { code: 0, addresses: [], ttlSeconds: 30 };
const one = { code: 0, addresses: [hex("f0f00304")], ttlSeconds: 30 };

test("an address, as it stands on the wire; letters of the question as they were written", () => {
  expect(show(encodeAnswer(reviews, read(reviews), one, 512))).toBe(
    show(
      hex(`1234 8580 0001 0001 0000 0000 07 52657669657773 00 0001 0001
           c00c 0001 0001 0000001e 0004 f0f00304`),
    ),
  );
});

test("no address of the kind: the name is there, and how long that may be remembered", () => {
  const asked = question("reviews", { type: 28, opt: 1_232 });
  expect(show(encodeAnswer(asked, read(asked), none, 1_232))).toBe(
    show(
      hex(`1234 8580 0001 0000 0001 0001 07 72657669657773 00 001c 0001
           c00c 0006 0001 0000001e 0016 00 00 00000001 00000e10 00000258 00015180 0000001e
           00 0029 04d0 00000000 0000`),
    ),
  );
});

test("who checks signatures himself is told that he may", () => {
  const asked = question("reviews", { flags: 0x0110 });
  expect(encodeAnswer(asked, read(asked), one, 512).subarray(2, 4).toHex()).toBe("8590");
});

test("a failure of ours is nobody's word on the name", () => {
  const answer = encodeAnswer(reviews, read(reviews), { ...none, code: 2 }, 512);
  expect(show(answer)).toBe(
    show(hex("1234 8182 0001 0000 0000 0000")) + show(reviews.subarray(12)),
  );
});

test("what does not fit is left out, and said to be", () => {
  const asked = question("reviews", { opt: 512 });
  const addresses = Array.from({ length: 60 }, (_, i) => hex(`0a0000${(i + 16).toString(16)}`));
  const short = encodeAnswer(asked, read(asked), { ...one, addresses }, 512);
  expect(short.length).toBeLessThanOrEqual(512);
  expect(short.length).toBeGreaterThan(480);
  expect(short[2]! & 0x02).toBe(0x02);
  const long = encodeAnswer(asked, read(asked), { ...one, addresses }, 65_535);
  expect(long[7]).toBe(60);
  expect(long[2]! & 0x02).toBe(0);
});

test("a refusal has the id and the code, and nothing that could not be read", () => {
  expect(show(encodeRefusal(hex("abcd 2901 ffff ffff ffff ffff 41"), 4))).toBe(
    show(hex("abcd a904 0000 0000 0000 0000")),
  );
});

const good = answerTo(reviews, "1.2.3.4");
const changed = (at: number, to: number): Uint8Array => {
  const bytes = good.slice();
  bytes[at] = to;
  return bytes;
};
const judged: readonly (readonly [string, Uint8Array, boolean])[] = [
  ["the answer", good, true],
  ["with other letters", changed(14, 0x45), true],
  ["to another id", withId(good, 0x1235), false],
  ["a question", changed(2, 0x01), false],
  ["to another name", changed(14, 0x58), false],
  ["a longer label", changed(12, 0x08), false],
  ["a longer name", changed(20, 0x01), false],
  ["to another type", changed(22, 0x1c), false],
  ["to another class", changed(24, 0x03), false],
  ["that repeats no question", changed(5, 0), false],
  ["to a zone update", changed(2, 0xa9), false],
  ["cut within the question", good.subarray(0, 24), false],
];
test.each([...judged])("counts as an answer, or not: %s", (_what, bytes, counts) => {
  expect(answers(bytes, reviews, 25)).toBe(counts);
});
