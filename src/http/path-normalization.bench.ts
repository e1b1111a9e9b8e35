/**
 * What normalising a path costs: `bun src/http/path-normalization.bench.ts`. Nearly every path is
 * normal already; that a scan finds so is the figure that counts.
 */
import { scanRequestHead } from "../http1/request-head.ts";
import { MessageHead } from "./message-head.ts";
import { PathNormalizer, type PathRules } from "./path-normalization.ts";

const rules: PathRules = {
  normalizes: true,
  mergesSlashes: true,
  escapedSlashes: "UNESCAPE_AND_FORWARD",
};
const normalizer = new PathNormalizer(8_192);

function variant(path: string): () => number {
  const head = new MessageHead();
  const text = `GET ${path} HTTP/1.1\r\nHost: reviews\r\n\r\n`;
  const sent = new TextEncoder().encode(text);
  const bytes = sent.slice();
  const { length } = sent;
  scanRequestHead(bytes, 0, length, head);
  const { start, methodEnd, targetStart, pathStart } = head;
  return () => {
    // A changed head is put back as it came, which is part of that figure.
    if (head.start !== start) bytes.set(sent);
    head.start = start;
    head.methodEnd = methodEnd;
    head.targetStart = targetStart;
    head.pathStart = pathStart;
    return normalizer.normalize(head, rules);
  };
}

const variants: Readonly<Record<string, () => number>> = {
  "normal, 1 octet": variant("/"),
  "normal, 40 octets": variant("/api/v1/products/1234567/reviews/latest"),
  "normal, 40, an escape": variant("/api/v1/products/12%34567/reviews/latest"),
  "changed, 40 octets": variant("/api/v1/../v1/products/%31234567/reviews"),
};
const rounds = 60;
const calls = 20_000;
const times = new Map<string, number[]>(Object.keys(variants).map((name) => [name, []]));

function measure(): number {
  let sum = 0;
  for (let round = 0; round < rounds; round++)
    for (const [name, run] of Object.entries(variants)) {
      const start = Bun.nanoseconds();
      for (let i = 0; i < calls; i++) sum += run();
      times.get(name)!.push((Bun.nanoseconds() - start) / calls);
    }
  return sum;
}

const sum = measure();
for (const [name, samples] of times)
  console.log(`${name.padEnd(24)} ${Math.min(...samples).toFixed(1)} ns`);
if (sum < 0) console.log("a path was refused");
