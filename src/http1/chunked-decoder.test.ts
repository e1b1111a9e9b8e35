/** Chunked bodies: what they decode to, what is sent on, and what is refused, at every split. */
import { expect, test } from "bun:test";
import { cuts, randomCuts } from "../testing/cuts.ts";
import { expectLinear } from "../testing/growth.ts";
import { latin1, octets, readStream, summary } from "../testing/http1-stream.ts";
import { ChunkEvent, ChunkedDecoder, type ChunkLimits } from "./chunked-decoder.ts";

const seed = 3;

interface Decoded {
  readonly data: string;
  /** What `relay` would send on, without the trailer section. */
  readonly relayed: string;
  readonly trailers: string;
  readonly event: ChunkEvent;
  /** Octets after the message. */
  readonly rest: number;
  readonly reason: string;
}

function decode(chunks: readonly Uint8Array[], limits?: ChunkLimits): Decoded {
  const data = drive(chunks, new ChunkedDecoder(limits), "next");
  const relayed = drive(chunks, new ChunkedDecoder(limits), "relay");
  expect(relayed.event).toBe(data.event);
  if (data.event !== ChunkEvent.failed) expect(relayed.rest).toBe(data.rest);
  return { ...data, data: data.text, relayed: relayed.text };
}

function drive(chunks: readonly Uint8Array[], decoder: ChunkedDecoder, way: "next" | "relay") {
  let text = "";
  let rest = 0;
  decoder.reset();
  for (const bytes of chunks) {
    let at = 0;
    do {
      if (decoder.event >= ChunkEvent.end) break;
      at = decoder[way](bytes, at, bytes.length);
      if (decoder.event === ChunkEvent.data)
        text += latin1(bytes, decoder.dataStart, decoder.dataEnd);
    } while (decoder.event === ChunkEvent.data);
    rest += bytes.length - at;
  }
  const trailers = latin1(decoder.trailers, 0, decoder.trailersLength);
  return { text, rest, trailers, event: decoder.event, reason: decoder.failure?.reason ?? "" };
}

/** Decodes at every cut and expects the same; `\n` stands for CRLF. */
function decodeText(text: string, limits?: ChunkLimits): Decoded {
  const bytes = octets(text.replaceAll("\n", "\r\n"));
  const whole = decode([bytes], limits);
  for (const chunks of bytes.length < 200 ? cuts(bytes, seed) : randomCuts(bytes, seed, 5)) {
    const cut = decode(chunks, limits);
    expect({ ...cut, rest: 0, relayed: "" }).toEqual({ ...whole, rest: 0, relayed: "" });
    // A range that is refused later may be out already when the pieces are small.
    if (whole.event === ChunkEvent.end)
      expect([cut.relayed, cut.rest]).toEqual([whole.relayed, whole.rest]);
  }
  return whole;
}

const sound: readonly (readonly [what: string, text: string, data: string, relayed: string])[] = [
  ["nothing", "0\n\n", "", "0\n"],
  ["one chunk", "5\nhello\n0\n\n", "hello", "5\nhello\n0\n"],
  [
    "two chunks, hexadecimal",
    "B\nhello world\n0a\n0123456789\n00\n\n",
    "hello world0123456789",
    "B\nhello world\n0a\n0123456789\n00\n",
  ],
  ["data that looks like framing", "5\n0\n\n\n0\n\n", "0\r\n\r\n", "5\n0\n\n\n0\n"],
  ["an extension that ends in a value", "5;a=b\nhello\n0\n\n", "hello", "5\nhello\n0\n"],
  ["an extension", "5;a=b;c\nhello\n0;d\n\n", "hello", "5\nhello\n0\n"],
  ["a quoted extension", '5 ; a = "x;\\"y" ;b\nhello\n0\n\n', "hello", "5\nhello\n0\n"],
];
for (const [what, text, data, relayed] of sound) {
  test(`decoded: ${what}`, () => {
    const found = decodeText(`${text}next`);
    expect(found.event).toBe(ChunkEvent.end);
    expect(found.data).toBe(data);
    expect(found.relayed).toBe(relayed.replaceAll("\n", "\r\n"));
    expect(found.rest).toBe(4);
  });
}

const refused: readonly (readonly [what: string, text: string])[] = [
  ["no size", "\n5\nhello\n0\n\n"],
  ["a size with a sign", "-1\n"],
  ["a size with 0x", "0x5\nhello\n"],
  ["an underscore in a size", "0_2e\n"],
  ["a blank before a size", " 5\nhello\n"],
  ["a blank after a size", "5 \nhello\n"],
  ["a name without a semicolon", "5 a\nhello\n"],
  ["an empty extension", "5;\nhello\n"],
  ["an extension with an empty value", "5;a=\nhello\n"],
  ["an unfinished quote", '5;a="b\nhello\n'],
  ["a control character in an extension", "5;a\x01\nhello\n"],
  ["two values in an extension", "5;a=b c\nhello\n"],
  ["more after the quote", '5;a="b"c\nhello\n'],
  ["data longer than its size", "5\nhello!\n0\n\n"],
  ["data shorter than its size", "6\nhello\n0\n\n"],
  ["a trailer without a colon", "0\nx\n\n"],
  ["a folded trailer", "0\nx: y\n z\n\n"],
  ["a space before a trailer's colon", "0\nx : y\n\n"],
  ["NUL in a trailer", "0\nx: \0\n\n"],
  ["an empty trailer name", "0\n: y\n\n"],
];
for (const [what, text] of refused) {
  test(`refused: ${what}`, () => {
    const found = decodeText(text);
    expect(found.event).toBe(ChunkEvent.failed);
    expect(found.reason).toMatch(/^bad-(chunk|trailer)$/);
  });
}

const bareEnds: readonly string[] = [
  "5\nhello\r\n0\r\n\r\n",
  "5\r\nhello\n0\r\n\r\n",
  "5\rXhello\r\n0\r\n\r\n",
  "5\r\nhello\rX0\r\n\r\n",
  "5\r\nhelloXX0\r\n\r\n",
  "5;a\nhello\r\n0\r\n\r\n",
  "5;a\rX",
  "5\r\nhello\r\n0\n\r\n",
  "5\r\nhello\r\n0\r\n\n",
  "0\r\nx: y\n\r\n",
  "0\r\nx: y\rz\r\n\r\n",
  "0\r\n\rX",
];
for (const text of bareEnds) {
  test(`refused: a line end that is not CRLF in ${JSON.stringify(text)}`, () => {
    for (const chunks of cuts(octets(text), seed)) {
      expect(decode(chunks).event).toBe(ChunkEvent.failed);
    }
  });
}

test("a size that nobody can count is refused as too large", () => {
  for (const size of ["ffffffffffffffff", "1000000000000", "00000000000000005"]) {
    expect(decodeText(`${size}\nx`).reason).toBe("content-too-large");
  }
  expect(decodeText("ffffffffffff\nx").event).toBe(ChunkEvent.more);
  expect(decodeText("0000000000000005\nhello\n0\n\n").event).toBe(ChunkEvent.end);
});

test("extensions and trailers are bounded", () => {
  const limits: ChunkLimits = { extensionBytesMax: 8, extensionsBytesMax: 20, trailerBytesMax: 16 };
  const chunk = "1;1234567\nx\n";
  expect(decodeText(chunk, limits).event).toBe(ChunkEvent.more);
  expect(decodeText("1;12345678\nx\n", limits).event).toBe(ChunkEvent.failed);
  expect(decodeText(chunk.repeat(2), limits).event).toBe(ChunkEvent.more);
  expect(decodeText(chunk.repeat(3), limits).event).toBe(ChunkEvent.failed);
  expect(decodeText("0\nx: 345678901\n\n", limits).event).toBe(ChunkEvent.end);
  expect(decodeText("0\nx: 3456789012\n\n", limits).event).toBe(ChunkEvent.failed);
});

test("trailers are counted", () => {
  expect(decodeText(`0\n${"x:\n".repeat(100)}\n`).event).toBe(ChunkEvent.end);
  expect(decodeText(`0\n${"x:\n".repeat(101)}\n`).event).toBe(ChunkEvent.failed);
});

test("trailers keep their lines, except those that no trailer may be", () => {
  const found = decodeText(
    "0\nX-Sum: 1\nContent-Length: 9\ngrpc-status: 0\nHOST: b\nx-sum: 2\nSet-Cookie: a\n\n",
  );
  const decoder = new ChunkedDecoder();
  const bytes = octets("0;x\r\nA: 1\r\nHost: b\r\nTE: c\r\n\r\n");
  expect(decoder.next(bytes, 0, bytes.length)).toBe(bytes.length);
  expect([decoder.droppedTrailers, decoder.droppedExtensions]).toEqual([2, true]);
  decoder.reset();
  expect([decoder.droppedTrailers, decoder.droppedExtensions]).toEqual([0, false]);
  expect(found.trailers).toBe("X-Sum: 1\r\ngrpc-status: 0\r\nx-sum: 2\r\n");
});

test("trailers are checked and left out where Connection may have meant them", () => {
  const decoder = new ChunkedDecoder();
  const bytes = octets("0\r\nX-Secret: 1\r\n\r\n0\r\nX Y\r\n\r\n");
  decoder.reset(false, false);
  const end = decoder.next(bytes, 0, bytes.length);
  expect([decoder.event, decoder.trailersLength, decoder.droppedTrailers]).toEqual([2, 0, 1]);
  decoder.reset(false, false);
  decoder.next(bytes, end, bytes.length);
  expect(decoder.failure?.reason).toBe("bad-trailer");
});

test("whose fault a malformed body is depends on who sent it", () => {
  const bytes = octets("x");
  const decoder = new ChunkedDecoder();
  decoder.next(bytes, 0, 1);
  expect(decoder.failure?.http).toBe(400);
  decoder.reset();
  decoder.next(bytes, 0, 1);
  expect(decoder.failure?.http).toBe(400);
  decoder.reset(true);
  decoder.next(bytes, 0, 1);
  expect(decoder.failure?.http).toBe(502);
});

test("data is not copied: ranges of a large read are few", () => {
  const text = `${"1000\r\n"}${"x".repeat(4096)}\r\n`.repeat(16);
  const bytes = octets(text);
  const decoder = new ChunkedDecoder();
  decoder.reset();
  expect(decoder.relay(bytes, 0, bytes.length)).toBe(bytes.length);
  expect([decoder.dataStart, decoder.dataEnd]).toEqual([0, bytes.length]);
  expect(decoder.bodyBytes).toBe(16 * 4096);
});

test("chunks are taken as many as may be, and the rest is there for the next time", () => {
  const bytes = octets("1\r\na\r\n2;x\r\nbc\r\n1\r\nd\r\n0\r\n\r\nnext");
  for (const way of ["next", "relay"] as const) {
    const decoder = new ChunkedDecoder();
    let text = "";
    const turn = (at: number): number => {
      decoder.chunksLeft = 1;
      for (let from = at; ; ) {
        from = decoder[way](bytes, from, bytes.length);
        if (decoder.event !== ChunkEvent.data) return from;
        text += latin1(bytes, decoder.dataStart, decoder.dataEnd);
      }
    };
    const ends: number[] = [];
    while (decoder.event !== ChunkEvent.end) ends.push(turn(ends.at(-1) ?? 0));
    expect(ends).toEqual([6, 15, 21, 26]);
    expect(text).toBe(way === "next" ? "abcd" : "1\r\na\r\n2\r\nbc\r\n1\r\nd\r\n0\r\n");
    expect(decoder.bodyBytes).toBe(4);
  }
});

test("no chunk may begin: one that has begun comes to its end", () => {
  const decoder = new ChunkedDecoder();
  const bytes = octets("3\r\nabc\r\n3\r\n");
  decoder.next(bytes, 0, 4);
  decoder.chunksLeft = 0;
  expect(decoder.isSpent).toBe(false);
  expect(decoder.next(bytes, 4, bytes.length)).toBe(6);
  expect(decoder.next(bytes, 6, bytes.length)).toBe(8);
  expect([decoder.event, decoder.isSpent]).toEqual([ChunkEvent.more, true]);
  decoder.reset();
  expect(decoder.chunksLeft).toBe(Number.POSITIVE_INFINITY);
});

test("a whole request with a chunked body is one message however it is cut", () => {
  const text =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
    "3;x\r\nabc\r\n0\r\nk: v\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n";
  const whole = readStream([octets(text)]);
  expect(whole.messages.map((message) => message.body)).toEqual(["abc", ""]);
  expect(whole.messages[0]!.forwarded).toEndWith("\r\n\r\n3\r\nabc\r\n0\r\nk: v\r\n\r\n");
  for (const chunks of cuts(octets(text), seed)) {
    expect(summary(readStream(chunks))).toBe(summary(whole));
  }
});

test("work grows with the body, not faster", () => {
  const limits = { extensionBytesMax: 99, extensionsBytesMax: 1e9, trailerBytesMax: 99 };
  const all = octets("1;a\r\nx\r\n".repeat(20_000));
  expectLinear((count) => {
    const decoder = new ChunkedDecoder(limits);
    decoder.reset();
    let at = 0;
    while (at < count * 8) at = decoder.next(all, at, count * 8);
    expect(decoder.bodyBytes).toBe(count);
  }, 5000);
});
