/**
 * Paths in their normal form, as rows: what was sent, what is routed by and forwarded. The head is
 * scanned from real octets, and what normalisation leaves must scan again to the same reading.
 */
import { describe, expect, test } from "bun:test";
import { seededRandom } from "../core/random.ts";
import { scanRequestHead } from "../http1/request-head.ts";
import { expectLinear } from "../testing/growth.ts";
import { octets } from "../testing/http1-stream.ts";
import { MessageHead } from "./message-head.ts";
import { PathNormalizer, type PathRules, PathVerdict } from "./path-normalization.ts";

const none: PathRules = {
  normalizes: false,
  mergesSlashes: false,
  escapedSlashes: "KEEP_UNCHANGED",
};
const base: PathRules = { ...none, normalizes: true };
const merge: PathRules = { ...base, mergesSlashes: true };
const decode: PathRules = { ...merge, escapedSlashes: "UNESCAPE_AND_FORWARD" };
const reject: PathRules = { ...base, escapedSlashes: "REJECT_REQUEST" };
const redirect: PathRules = { ...base, escapedSlashes: "UNESCAPE_AND_REDIRECT" };

const normalizer = new PathNormalizer(8_192);

/** The target afterwards; "refused: why", or "redirect to …". Undefined: not one octet changed. */
function normal(target: string, rules: PathRules): string | undefined {
  const head = new MessageHead();
  const text = `GET ${target} HTTP/1.1\r\nHost: a.example\r\nX-After: here\r\n\r\n`;
  const bytes = octets(`before\r\n${text}`);
  const end = scanRequestHead(bytes, 8, bytes.length, head);
  if (end < 0) return `refused: ${head.detail}`;
  const verdict = normalizer.normalize(head, rules);
  if (verdict <= 0) expect(Buffer.from(bytes).toString("latin1")).toBe(`before\r\n${text}`);
  if (verdict === PathVerdict.refused) return `refused: ${head.detail}`;
  const again = scanAgain(bytes, head);
  if (verdict === PathVerdict.unchanged) return undefined;
  return verdict === PathVerdict.redirected ? `redirect to ${again}` : again;
}

/** The head as whoever needs it later scans it; it reads as the one that was normalised. */
function scanAgain(bytes: Uint8Array, head: MessageHead): string {
  const again = new MessageHead();
  expect(scanRequestHead(bytes, head.start, head.end, again)).toBe(head.end);
  const { start, methodEnd, form, targetStart, targetEnd, pathStart, pathEnd } = head;
  const { queryStart, queryEnd, authorityStart, authorityEnd, hostEnd, port } = head;
  expect(again).toMatchObject({ start, methodEnd, form, targetStart, targetEnd });
  expect(again).toMatchObject({ pathStart, pathEnd, queryStart, queryEnd });
  expect(again).toMatchObject({ authorityStart, authorityEnd, hostEnd, port });
  expect(again.valueText(1)).toBe(head.valueText(1));
  return head.text(targetStart, targetEnd);
}

type Row = readonly [sent: string, normal: string];

const unchanged: readonly string[] = [
  "/",
  "/a",
  "/a/b/",
  "/a/b?x=/../%2e",
  "/.well-known/acme",
  "/..a/.b./c..",
  "/...",
  "/a//b",
  "//",
  "/a;v=1/b;w",
  "/a;../b",
  "/a;v=../b",
  "/%20%3A%3f%2520",
  "/%c0%af",
  "/a%2fb%5Cc",
  "http://a.example/a/b",
  "http://a.example",
];

const basic: readonly Row[] = [
  ["/a/../b", "/b"],
  ["/a/b/..", "/a/"],
  ["/a/b/.", "/a/b/"],
  ["/a/./b", "/a/b"],
  ["/..", "/"],
  ["/.", "/"],
  ["/../../a", "/a"],
  ["/a/b/../../../../c", "/c"],
  ["/a//../b", "/a/b"],
  ["//..//a", "//a"],
  ["/a/%2e%2E/b", "/b"],
  ["/a/.%2e/b", "/b"],
  ["/a/%2e/b", "/a/b"],
  ["/a\\b", "/a/b"],
  ["/a/..\\admin", "/admin"],
  ["/\\..\\a", "/a"],
  ["/%61dmin%2D%7e", "/admin-~"],
  ["/%41%252e%3b", "/A%252e%3b"],
  ["/%41;v=../b", "/A;v=../b"],
  ["/a/../b?c=/../d", "/b?c=/../d"],
  ["/a/..?q", "/?q"],
  ["http://a.example/a/../b?c", "http://a.example/b?c"],
  ["http://a.example:80/%61", "http://a.example:80/a"],
];

const refused: readonly Row[] = [
  ["/admin%00", "%00 in the path"],
  ["/%00.%00./a", "%00 in the path"],
  ["/a%", "% without two digits in the path"],
  ["/a%2", "% without two digits in the path"],
  ["/a%2?b", "% without two digits in the path"],
  ["/%zz", "% without two digits in the path"],
  ["/%%36%36", "% without two digits in the path"],
  ["/a/..;/admin", "hidden dot segment in the path"],
  ["/a/.;x=1/admin", "hidden dot segment in the path"],
  ["/a/%2e%2e%3B/admin", "hidden dot segment in the path"],
  ["/a/..;", "hidden dot segment in the path"],
  ["/a/..%2fadmin", "hidden dot segment in the path"],
  ["/a%2f../admin", "hidden dot segment in the path"],
  ["/a%5c..", "hidden dot segment in the path"],
  ["/a%2F%2e%2e;/b", "hidden dot segment in the path"],
  ["/a#b", "fragment"],
];

describe("BASE", () => {
  test.each(unchanged)("%s stays", (sent) => expect(normal(sent, base)).toBeUndefined());
  test.each(basic)("%s is %s", (sent, want) => expect(normal(sent, base)).toBe(want));
  test.each(refused)("%s is refused: %s", (sent, why) =>
    expect(normal(sent, base)).toBe(`refused: ${why}`),
  );
});

test("NONE takes every path as it comes", () => {
  for (const [sent] of basic) expect(normal(sent, none)).toBeUndefined();
  expect(normal("/%00%zz/..;/x", none)).toBeUndefined();
});

test("MERGE_SLASHES merges them after dot segments are gone, and never in the query", () => {
  const rows: readonly Row[] = [
    ["//a///b//", "/a/b/"],
    ["///", "/"],
    ["/a//../b", "/a/b"],
    ["/a/.//b", "/a/b"],
    ["/a//b?c=//d", "/a/b?c=//d"],
    ["/a\\\\b", "/a/b"],
    ["http://a.example//a", "http://a.example/a"],
  ];
  for (const [sent, want] of rows) expect(normal(sent, merge)).toBe(want);
  expect(normal("/a%2f%2Fb", merge)).toBeUndefined();
});

test("DECODE_AND_MERGE_SLASHES reads escaped slashes as slashes, once", () => {
  const rows: readonly Row[] = [
    ["/a%2fb%5Cc", "/a/b/c"],
    ["/a/..%2fadmin", "/admin"],
    ["/a%2f..%5cadmin", "/admin"],
    ["/a%2F/b", "/a/b"],
    ["/a%2f..", "/"],
    ["/a%2f?%2f", "/a/?%2f"],
  ];
  for (const [sent, want] of rows) expect(normal(sent, decode)).toBe(want);
  expect(normal("/a%252fb", decode)).toBeUndefined();
  expect(normal("/a%2f..;/b", decode)).toBe("refused: hidden dot segment in the path");
});

test("escaped slashes may be refused, or sent back to the client without them", () => {
  expect(normal("/a%2fb", reject)).toBe("refused: escaped slash in the path");
  expect(normal("/a%5Cb", reject)).toBe("refused: escaped slash in the path");
  expect(normal("/a/../b", reject)).toBe("/b");
  expect(normal("/a?%2f", reject)).toBeUndefined();
  expect(normal("/a%2fb?c", redirect)).toBe("redirect to /a/b?c");
  expect(normal("/a/../b", redirect)).toBe("/b");
});

test("the asterisk and an authority have no path", () => {
  for (const line of ["OPTIONS *", "CONNECT a%41.example:443"]) {
    const head = new MessageHead();
    const bytes = octets(`${line} HTTP/1.1\r\nHost: a%41.example:443\r\n\r\n`);
    expect(scanRequestHead(bytes, 0, bytes.length, head)).toBe(bytes.length);
    expect(normalizer.normalize(head, decode)).toBe(PathVerdict.unchanged);
  }
});

test("a path that does not stand behind its method is replaced alone, and read no further", () => {
  const head = new MessageHead();
  const place = (path: string): Uint8Array => {
    const bytes = octets(`${path}41GET /a/../b`);
    Object.assign(head, { bytes, start: path.length + 2, methodEnd: path.length + 5, form: 0 });
    Object.assign(head, { targetStart: 0, pathStart: 0, pathEnd: path.length, queryStart: -1 });
    return bytes;
  };
  place("/a/%");
  expect(normalizer.normalize(head, base)).toBe(PathVerdict.refused);
  const bytes = place("/a/../b");
  expect(normalizer.normalize(head, base)).toBe(PathVerdict.changed);
  expect(head.text(head.pathStart, head.pathEnd)).toBe("/b");
  expect(head.start).toBe(9);
  expect(Buffer.from(bytes.subarray(7)).toString()).toBe("41GET /a/../b");
});

test("a path too long for the output is refused where it would change, else it passes", () => {
  const small = new PathNormalizer(8);
  const verdictOf = (target: string): PathVerdict => {
    const head = new MessageHead();
    const bytes = octets(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    scanRequestHead(bytes, 0, bytes.length, head);
    return small.normalize(head, base);
  };
  expect(verdictOf("/aaaaaaaaaaaaaaa")).toBe(PathVerdict.unchanged);
  expect(verdictOf("/aa/../b")).toBe(PathVerdict.changed);
  expect(verdictOf("/aaa/../b")).toBe(PathVerdict.refused);
});

test("what is normal stays so, has no dot segment and is never longer", () => {
  const seed = 7;
  const random = seededRandom(seed);
  const parts = ["/", ".", "..", "%2e", "%2F", "%5c", "\\", ";", "a", "%61", "%25", "%", "3b", "?"];
  for (let round = 0; round < 4_000; round++) {
    let target = "/";
    while (random() < 0.85) target += parts[Math.floor(random() * parts.length)];
    for (const rules of [base, merge, decode]) {
      const once = normal(target, rules);
      if (once === undefined || once.startsWith("refused")) continue;
      expect(`${target} ${normal(once, rules)}`).toBe(`${target} undefined`);
      const path = once.split("?")[0]!;
      expect(path).not.toMatch(/(^|\/)\.\.?(\/|$|;)/);
      if (rules.mergesSlashes) expect(path).not.toContain("//");
      expect(once.length).toBeLessThan(target.length + (target.includes("\\") ? 1 : 0));
    }
  }
});

test("the work grows with the path and no faster", () => {
  const heads = [..."12"].map(() => new MessageHead({ ...new MessageHead().limits }));
  const long = new PathNormalizer(1 << 20);
  for (const part of ["/..", "/a/..", "//", "%2e/", "/a%2f"]) {
    const run = (n: number): void => {
      const path = `/${part.repeat(n)}`;
      const bytes = octets(path);
      const head = heads[0]!;
      Object.assign(head, { bytes, form: 0, pathStart: 0, pathEnd: bytes.length, start: 0 });
      Object.assign(head, { methodEnd: bytes.length, targetStart: 0 });
      long.normalize(head, decode);
    };
    expectLinear(run, 5_000);
  }
});
