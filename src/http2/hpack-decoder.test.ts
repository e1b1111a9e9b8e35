/** HPACK as RFC 7541 has it: its own examples, and what must break. */
import { describe, expect, test } from "bun:test";
import { Flaw } from "./field-kind.ts";
import { HpackDecoder, Step } from "./hpack-decoder.ts";

const hex = (text: string): Uint8Array =>
  new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));

/** Lines without CRLF; undefined: broken. */
function decode(decoder: HpackDecoder, block: Uint8Array): string[] | undefined {
  const lines: string[] = [];
  decoder.begin(block, 0, block.length);
  decoder.out = new Uint8Array(0);
  for (;;) {
    const step = decoder.next();
    if (step === Step.end) return lines;
    if (step === Step.broken) return undefined;
    if (step === Step.room) {
      decoder.out = new Uint8Array(decoder.at + decoder.needed);
      continue;
    }
    const text = Buffer.from(decoder.out.subarray(decoder.at, decoder.lineEnd)).toString("latin1");
    lines.push(text.slice(0, -2));
  }
}

describe("the examples of RFC 7541 Appendix C", () => {
  const rows: readonly (readonly [
    name: string,
    blocks: readonly string[],
    lines: readonly (readonly string[])[],
    size: number,
  ])[] = [
    [
      "C.2.1 literal with indexing",
      ["400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"],
      [["custom-key: custom-header"]],
      55,
    ],
    [
      "C.2.2 literal without indexing",
      ["040c 2f73 616d 706c 652f 7061 7468"],
      [[":path: /sample/path"]],
      0,
    ],
    [
      "C.2.3 literal never indexed",
      ["1008 7061 7373 776f 7264 0673 6563 7265 74"],
      [["password:  secret"]],
      0,
    ],
    ["C.2.4 indexed", ["82"], [[":method: GET"]], 0],
    [
      "C.4 requests with Huffman coding",
      [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ],
      [
        [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
        [
          ":method: GET",
          ":scheme: http",
          ":path: /",
          ":authority: www.example.com",
          "cache-control: no-cache",
        ],
        [
          ":method: GET",
          ":scheme: https",
          ":path: /index.html",
          ":authority: www.example.com",
          "custom-key: custom-value",
        ],
      ],
      164,
    ],
  ];
  test.each(rows)("%s", (_name, blocks, lines, size) => {
    const decoder = new HpackDecoder(4096);
    expect(blocks.map((block) => decode(decoder, hex(block)))).toEqual(
      lines.map((one) => [...one]),
    );
    expect(decoder.table.size).toBe(size);
  });
});
test("a value's flaw stays with the entry", () => {
  const decoder = new HpackDecoder(4096);
  expect(decode(decoder, hex("4001 61 0162".replace("62", "0a")))).toEqual(["a: \n"]);
  decode(decoder, hex("be"));
  expect(decoder.flaws).toBe(Flaw.value);
});
