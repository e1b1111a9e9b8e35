/** IP addresses and blocks, as text is read; Node's own reading is the judge. */
import { describe, expect, test } from "bun:test";
import { BlockList, isIP } from "node:net";
import { seededRandom } from "../../core/random.ts";
import { AddressBlock, AddressWords } from "./address-block.ts";

function shown(text: string): string | undefined {
  const address = new AddressWords();
  if (!address.parse(text)) return undefined;
  return Array.from(address.words, (word) => word.toString(16).padStart(8, "0")).join(" ");
}

describe("an address", () => {
  const rows: readonly (readonly [text: string, words: string | undefined])[] = [
    ["10.0.0.1", "00000000 00000000 0000ffff 0a000001"],
    ["255.255.255.255", "00000000 00000000 0000ffff ffffffff"],
    ["0.0.0.0", "00000000 00000000 0000ffff 00000000"],
    ["::", "00000000 00000000 00000000 00000000"],
    ["::1", "00000000 00000000 00000000 00000001"],
    ["1::", "00010000 00000000 00000000 00000000"],
    ["2001:db8::a:b", "20010db8 00000000 00000000 000a000b"],
    ["2001:DB8:1:2:3:4:5:6", "20010db8 00010002 00030004 00050006"],
    ["1:2:3:4:5:6:7::", "00010002 00030004 00050006 00070000"],
    ["::2:3:4:5:6:7:8", "00000002 00030004 00050006 00070008"],
    ["::ffff:10.0.0.1", "00000000 00000000 0000ffff 0a000001"],
    ["64:ff9b::1.2.3.4", "0064ff9b 00000000 00000000 01020304"],
    ["1:2:3:4:5:6:1.2.3.4", "00010002 00030004 00050006 01020304"],
    ...[
      ...["", "10", "10.0.0", "10.0.0.0.1", "10.0.0.256", "10.0.0.01", "10.0.0.", ".10.0.0.1"],
      ...["10.0..1", "10.0.0.1 ", "10.0.0.a", "a", ":", ":::", "1:2", "1:2:3:4:5:6:7:8:9"],
      ...["1::2::3", "12345::", "g::", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", ":1:2:3:4:5:6:7"],
      ...["1:2:3:4:5:6:7:", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4:5", "::%eth0", "[::1]"],
      ...["1:2:3:4::5:6:7:8", "0x10.0.0.1"],
    ].map((text) => [text, undefined] as const),
  ];
  for (const [text, words] of rows)
    test(`${JSON.stringify(text)}: ${words ?? "none"}`, () => {
      expect(shown(text)).toBe(words);
    });

  test("is one wherever Node says so, whatever the text", () => {
    const random = seededRandom(7);
    const parts = ["0", "1", "ff", "ffff", ":", "::", ":", ".", "10", "255", "256", "01", "g"];
    for (let i = 0; i < 50_000; i++) {
      const count = 1 + Math.floor(random() * 14);
      const text = Array.from({ length: count }, () => parts[Math.floor(random() * parts.length)]);
      const joined = text.join("");
      expect([joined, shown(joined) !== undefined]).toEqual([joined, isIP(joined) !== 0]);
    }
  });
});

describe("a block", () => {
  const rows: readonly (readonly [block: string, inside: string[], outside: string[]])[] = [
    ["10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0", "::1"]],
    ["10.1.2.3/8", ["10.9.9.9"], ["11.1.2.3"]],
    ["10.0.0.1", ["10.0.0.1", "::ffff:10.0.0.1"], ["10.0.0.2"]],
    ["10.0.0.128/25", ["10.0.0.128", "10.0.0.255"], ["10.0.0.127"]],
    ["0.0.0.0/0", ["0.0.0.0", "255.1.2.3"], ["::1", "2001:db8::1"]],
    ["::/0", ["::1", "ffff::", "10.0.0.1"], []],
    ["2001:db8::/33", ["2001:db8:7fff::1"], ["2001:db8:8000::1", "2001:db9::"]],
    ["2001:db8::1", ["2001:db8::1"], ["2001:db8::2"]],
    ["fd00::/127", ["fd00::", "fd00::1"], ["fd00::2"]],
  ];
  for (const [text, inside, outside] of rows)
    test(text, () => {
      const block = AddressBlock.parse(text);
      const has = (address: string): boolean => {
        const words = new AddressWords();
        return words.parse(address) && block?.has(words) === true;
      };
      expect(inside.filter((address) => !has(address))).toEqual([]);
      expect(outside.filter(has)).toEqual([]);
    });

  test("is none with a prefix that is too long, or nothing of the kind", () => {
    const texts = ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/a", "10.0.0.0/-1", "/8", "a/8"];
    for (const text of [...texts, "10.0.0.0/8/8", "10.0.0/8"])
      expect([text, AddressBlock.parse(text)]).toEqual([text, undefined]);
  });

  test("has what Node's own list has", () => {
    const random = seededRandom(3);
    for (let i = 0; i < 2_000; i++) {
      const address = (): string => `10.${octet(random)}.${octet(random)}.${octet(random)}`;
      const [base, other, length] = [address(), address(), Math.floor(random() * 33)];
      const list = new BlockList();
      list.addSubnet(base, length);
      const words = new AddressWords();
      words.parse(other);
      const found = AddressBlock.parse(`${base}/${length}`)?.has(words);
      expect([base, length, other, found]).toEqual([base, length, other, list.check(other)]);
    }
  });
});

function octet(random: () => number): number {
  return Math.floor(random() * 256);
}
