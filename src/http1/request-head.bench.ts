/**
 * What a request head costs: `bun src/http1/request-head.bench.ts`.
 *
 * Variants run interleaved in one process; figures are the best of many short rounds, which a busy
 * machine disturbs least.
 */

import { MessageHead } from "../http/message-head.ts";
import { HeadWriter } from "./head-writer.ts";
import { scanRequestHead } from "./request-head.ts";
import { scanResponseHead } from "./response-head.ts";

const encode = (text: string): Uint8Array =>
  new TextEncoder().encode(text.trim().replaceAll("\n", "\r\n").concat("\r\n\r\n"));

const small = encode("GET / HTTP/1.1\nHost: reviews\n");
const typical = encode(`GET /api/v1/reviews/0?full=1 HTTP/1.1
Host: reviews.default.svc.cluster.local:9080
User-Agent: curl/8.5.0
Accept: application/json
x-request-id: 7f2c1c7e-5f0b-4a54-9df1-0b6a3b6d2f10
Content-Length: 0
`);
const browser = encode(`GET /productpage?u=normal HTTP/1.1
Host: bookinfo.example.com
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8
Accept-Language: en-US,en;q=0.5
Accept-Encoding: gzip, deflate, br
Connection: keep-alive
Cookie: session=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0; theme=dark
Upgrade-Insecure-Requests: 1
Sec-Fetch-Dest: document
Sec-Fetch-Mode: navigate
Sec-Fetch-Site: none
traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
`);
const response = encode(`HTTP/1.1 200 OK
Server: nginx/1.22.1
Date: Sun, 22 Nov 2026 17:00:00 GMT
Content-Type: application/json
Content-Length: 1024
Connection: keep-alive
`);

const head = new MessageHead();
const writer = new HeadWriter(new Uint8Array(65536));
const extra = new TextEncoder().encode("x-request-id: 00000000-0000-0000-0000-000000000000\r\n");

const scan = (bytes: Uint8Array) => (): number => scanRequestHead(bytes, 0, bytes.length, head);
const copy = (bytes: Uint8Array) => (): number => {
  scanRequestHead(bytes, 0, bytes.length, head);
  writer.begin(0);
  writer.request(head);
  writer.fields(head);
  writer.add(extra);
  return writer.end();
};
const variants: Readonly<Record<string, () => number>> = {
  [`scan small (${small.length} B)`]: scan(small),
  [`scan typical (${typical.length} B)`]: scan(typical),
  [`scan browser (${browser.length} B)`]: scan(browser),
  "scan + write typical": copy(typical),
  "scan + write browser": copy(browser),
  [`scan response (${response.length} B)`]: () =>
    scanResponseHead(response, 0, response.length, head),
};

const rounds = 60;
const calls = 5_000;
const times = new Map<string, number[]>(Object.keys(variants).map((name) => [name, []]));

function measure(): number {
  let sum = 0;
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of Object.entries(variants)) {
      const start = Bun.nanoseconds();
      for (let i = 0; i < calls; i++) sum += run();
      times.get(name)!.push((Bun.nanoseconds() - start) / calls);
    }
  }
  return sum;
}

const sum = measure();
for (const [name, samples] of times) {
  console.log(
    `${name.padEnd(26)} ${Math.min(...samples)
      .toFixed(0)
      .padStart(6)} ns`,
  );
}
if (sum < 0) console.log("a scan failed");
