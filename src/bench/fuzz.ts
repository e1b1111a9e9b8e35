/**
 * bun run fuzz [SECONDS] [SEED]: the decoders and writers of HTTP/1 and HTTP/2 against oracles of
 * our own, and against themselves in other pieces; PROXY headers and first bytes of connections the
 * same way; tokens and keys. 60 seconds each by default; the seed is printed.
 */
import { type Random, seededRandom } from "../core/random.ts";
import { MessageHead, TargetForm } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { HeadWriter } from "../http1/head-writer.ts";
import { scanRequestHead } from "../http1/request-head.ts";
import { latin1, octets, type StreamOptions } from "../testing/http1-stream.ts";
import { judgeAgreement } from "./conformance/http-judgement.ts";
import { readOracle } from "./conformance/http-oracle.ts";
import { judgeBlocks, judgeFrames, randomBlocks, randomFrames } from "./fuzz-http2.ts";
import { damaged, randomChunks, randomRequests, randomResponse } from "./fuzz-input.ts";
import {
  judgeOpening,
  judgeProxyHeader,
  randomOpening,
  randomProxyHeader,
} from "./fuzz-proxy-header.ts";
import { judgeKeySet, judgeToken, randomKeySet, randomToken } from "./fuzz-token.ts";

interface Target {
  readonly name: string;
  make(random: Random): string;
  /** Undefined where all is well. `seed` makes the pieces and edits repeatable. */
  judge(text: string, seed: number): string | undefined;
}

const chunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

const targets: readonly Target[] = [
  {
    name: "request head",
    make: randomRequests,
    judge: (text, seed) => judgeAgreement(octets(text), {}, seed),
  },
  {
    name: "response head",
    make: randomResponse,
    judge: (text, seed) => judgeAgreement(octets(text), responseOptions(seed), seed),
  },
  {
    name: "chunked body",
    make: (random) => damaged(random, randomChunks(random)),
    judge: (text, seed) => judgeAgreement(octets(chunkedHead + text), {}, seed),
  },
  { name: "head writer", make: randomRequests, judge: judgeWriter },
  { name: "HPACK blocks", make: randomBlocks, judge: judgeBlocks },
  { name: "HTTP/2 session", make: randomFrames, judge: judgeFrames },
  { name: "PROXY header", make: randomProxyHeader, judge: judgeProxyHeader },
  { name: "first bytes", make: randomOpening, judge: judgeOpening },
  { name: "JSON Web Token", make: randomToken, judge: judgeToken },
  { name: "set of keys", make: randomKeySet, judge: judgeKeySet },
];

function responseOptions(seed: number): StreamOptions {
  const methods = [MethodId.get, MethodId.get, MethodId.head, MethodId.connect];
  const requestMethod = methods[seed % methods.length]!;
  return { response: true, requestMethod, upgradeWasSent: seed % 3 === 0 };
}

/** Random edits of an accepted head must give one message that says what was asked for. */
function judgeWriter(text: string, seed: number): string | undefined {
  const random = seededRandom(seed);
  const bytes = octets(text);
  const head = new MessageHead();
  if (scanRequestHead(bytes, 0, bytes.length, head) <= 0) return undefined;
  const size = random() < 0.2 ? Math.floor(random() * 200) : 4096;
  const at = Math.floor(random() * 20);
  const out = new Uint8Array(size).fill(0xaa);
  const writer = new HeadWriter(out);
  writer.begin(at);
  const fixed = head.form === TargetForm.authority || random() < 0.5;
  const target = fixed ? undefined : "/other?x";
  if (target === undefined) writer.request(head);
  else writer.requestTo(head, octets(target));
  for (let i = 0; i < head.fieldCount; i++) {
    const frames = head.fieldId[i]! >= 1 && head.fieldId[i]! <= 3;
    if (!frames && random() < 0.2) head.dropped[i] = 1;
  }
  if (random() < 0.5) writer.add(octets("first: 1\r\n"));
  writer.fields(head);
  if (random() < 0.5) writer.add(octets("last: 2\r\n"));
  const end = writer.end();
  if (out.subarray(0, Math.min(at, size)).some((octet) => octet !== 0xaa)) return "wrote before at";
  if (end < 0) return size < 4096 ? undefined : "overflowed with room";
  if (out.subarray(end).some((octet) => octet !== 0xaa)) return "wrote past the end";
  return wrongHead(latin1(out, at, end), head, target);
}

function wrongHead(
  text: string,
  head: MessageHead,
  target: string | undefined,
): string | undefined {
  const framed = [/^content-length: [1-9]/im, /^transfer-encoding:/im].some((one) =>
    one.test(text),
  );
  const { messages, tail, why } = readOracle(text);
  if (framed ? tail !== "wait" : messages.length !== 1 || tail !== "none") {
    return `the oracle reads ${messages.length} messages, then ${tail} ${why}`;
  }
  const lines = text.split("\r\n");
  if (target !== undefined && lines[0]!.split(" ")[1] !== target) return `target: ${lines[0]}`;
  const kept = Array.from({ length: head.fieldCount }, (_, i) => i).filter((i) => !head.dropped[i]);
  const wanted = kept.map((i) => {
    return `${head.text(head.nameStart[i]!, head.nameEnd[i]!)}:${head.valueText(i)}`;
  });
  const ours = /^(first|last): \d$|^host: [^ ]*$/;
  const found = lines
    .slice(1, -2)
    .map((line) => line.replace(/:[ \t]*/, ":").replace(/[ \t]+$/, ""));
  const left = found.filter(
    (line) => !wanted.includes(line) && !ours.test(line.replace(":", ": ")),
  );
  const missing = wanted.filter((line) => !found.includes(line));
  if (left.length + missing.length === 0) return undefined;
  return `fields: ${JSON.stringify({ left, missing })}`;
}

/** Drops pieces of a failing input while it still fails. */
function shrink(text: string, fails: (text: string) => boolean): string {
  let best = text;
  for (let size = best.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at + size <= best.length; ) {
      const less = best.slice(0, at) + best.slice(at + size);
      if (fails(less)) best = less;
      else at += size;
    }
  }
  return best;
}

function attempt(target: Target, text: string, seed: number): string | undefined {
  try {
    return target.judge(text, seed);
  } catch (thrown) {
    return `threw ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  }
}

function fuzz(target: Target, seconds: number, seed: number): boolean {
  const random = seededRandom(seed);
  const until = performance.now() + seconds * 1000;
  let cases = 0;
  while (performance.now() < until) {
    for (let i = 0; i < 100; i++, cases++) {
      const text = target.make(random);
      const caseSeed = Math.floor(random() * 2 ** 31);
      const why = attempt(target, text, caseSeed);
      if (why === undefined) continue;
      const small = shrink(text, (less) => attempt(target, less, caseSeed) !== undefined);
      console.log(`${target.name}: case ${cases} of seed ${seed} fails: ${why}`);
      console.log(`  smallest: ${JSON.stringify(small)}: ${attempt(target, small, caseSeed)}`);
      return false;
    }
  }
  console.log(`${target.name}: ${cases} cases in ${seconds} s, seed ${seed}`);
  return true;
}

const seconds = Number(process.argv[2] ?? 60);
const seed = Number(process.argv[3] ?? Math.floor(Math.random() * 2 ** 31));
const failed = targets.filter((target) => !fuzz(target, seconds, seed));
process.exit(failed.length === 0 ? 0 : 1);
