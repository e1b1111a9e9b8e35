/** Base64 in pieces: decoded as a whole would be, wherever it is cut. */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../core/random.ts";
import { cuts, describeCuts } from "../../testing/cuts.ts";
import { expectLinear } from "../../testing/growth.ts";
import { Base64Decoder } from "./base64-decoder.ts";

const SEED = 7;

/** The octets, and whether they are the whole. */
function decode(pieces: readonly Uint8Array[]): { text: string; whole: boolean } {
  const decoder = new Base64Decoder();
  const out = pieces.map((piece) => {
    // In the midst of something larger, as it comes from the network.
    const around = Buffer.concat([Buffer.from("!!"), piece, Buffer.from("==")]);
    return Buffer.from(decoder.decode(around, 2, 2 + piece.length));
  });
  return { text: Buffer.concat(out).toString("latin1"), whole: decoder.isWhole };
}

describe("well formed", () => {
  // biome-ignore format: a table reads as a table
  const rows: readonly (readonly [text: string, octets: string])[] = [
    ["",                 ""],
    ["AAAA",             "\0\0\0"],
    ["////",             "\xff\xff\xff"],
    ["++++",             "\xfb\xef\xbe"],
    ["YQ==",             "a"],
    ["YWI=",             "ab"],
    ["YWJj",             "abc"],
    ["YWJjZA==",         "abcd"],
    // Padded wherever the sender flushed.
    ["YQ==YWI=YWJj",     "aababc"],
    ["YQ==YQ==",         "aa"],
    ["+/z9/v8A",         "\xfb\xfc\xfd\xfe\xff\0"],
  ];
  for (const [text, octets] of rows)
    test(`"${text}"`, () => {
      for (const pieces of cuts(Buffer.from(text), SEED)) {
        const done = decode(pieces);
        if (done.text !== octets || !done.whole)
          throw new Error(`${JSON.stringify(done)} in ${describeCuts(pieces)}`);
      }
    });
});

describe("malformed", () => {
  // What comes before the fault is decoded.
  // biome-ignore format: a table reads as a table
  const rows: readonly (readonly [text: string, octets: string, why: string])[] = [
    ["YWJjY",     "abc", "one digit is no octet"],
    ["YWJjYQ",    "abc", "a group without its end"],
    ["YWJjYQ=",   "abc", "a pad missing"],
    ["YWJjYWI",   "abc", "a group without its pad"],
    ["=",         "",    "a pad alone"],
    ["Y===",      "",    "a pad after one digit"],
    ["YWJj=",     "abc", "a pad after a whole group"],
    ["YQ==="    , "a",   "a pad too many"],
    ["YQ=Y",      "",    "a digit between pads"],
    ["YQ=YW",     "",    "digits between pads"],
    ["YI==",      "",    "another bit beside the octet"],
    ["YWK=",      "",    "another bit beside the octets"],
    ["YR==",      "",    "bits beside the octet"],
    ["YWJ=",      "",    "bits beside the octets"],
    ["YWJj\r\n",  "abc", "a line end"],
    ["YWJj YQ==", "abc", "a blank"],
    ["YWJj-_-_",  "abc", "the other alphabet"],
    ["YWJj\xe9AAA", "abc", "an octet beyond ASCII"],
  ];
  for (const [text, octets, why] of rows)
    test(why, () => {
      for (const pieces of cuts(Buffer.from(text, "latin1"), SEED))
        expect(decode(pieces)).toEqual({ text: octets, whole: false });
    });
});

test("any octets come back as they were", () => {
  const random = seededRandom(SEED);
  for (let length = 0; length < 70; length++) {
    const octets = Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
    for (const pieces of cuts(Buffer.from(octets.toString("base64")), SEED + length))
      expect(decode(pieces)).toEqual({ text: octets.toString("latin1"), whole: true });
  }
});

test("a decoder that failed stays so until it is reset", () => {
  const decoder = new Base64Decoder();
  decoder.decode(Buffer.from("Y!"), 0, 2);
  expect(decoder.decode(Buffer.from("YWJj"), 0, 4).length).toBe(0);
  expect(decoder.failed).toBe(true);
  decoder.reset();
  expect(Buffer.from(decoder.decode(Buffer.from("YWJj"), 0, 4)).toString()).toBe("abc");
  decoder.decode(Buffer.from("YQ="), 0, 3);
  decoder.reset();
  expect(Buffer.from(decoder.decode(Buffer.from("YQ=="), 0, 4)).toString()).toBe("a");
  expect(decoder.isWhole).toBe(true);
});

test("four times the input takes no more than eight times as long", () => {
  const text = Buffer.alloc(1_600_000, "YWJj");
  expectLinear((n) => {
    const decoder = new Base64Decoder();
    for (let at = 0; at < n; at += 50) decoder.decode(text, at, Math.min(n, at + 50));
  }, 400_000);
});
