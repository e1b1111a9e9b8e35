/**
 * bun src/bench/fuzz-proxy.ts [SECONDS] [SEED]: odd requests and odd responses through a running
 * proxy; every octet that either side gets is judged by the oracle. The seed is printed.
 */
import { type Random, seededRandom } from "../core/random.ts";
import { octets } from "../testing/http1-stream.ts";
import { ProxyLane, type RecordedConnection, writeAll } from "./conformance/http-lane.ts";
import { readOracle } from "./conformance/http-oracle.ts";
import { randomRequests, randomResponse } from "./fuzz-input.ts";

const timing = { firstMs: 100, idleMs: 20 };
const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
/** No content, so that the answer to HEAD reads as any other. */
const empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const probe = octets("GET /probe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

/** Undefined where all is well. */
async function tryRequest(
  lane: ProxyLane,
  text: string,
  cuts: readonly number[],
): Promise<string | undefined> {
  lane.clear();
  const before = new Set(lane.connections);
  lane.upstream = (connection, { messages }) => {
    if (connection.answered > 0 || messages.length === 0) return;
    connection.answered++;
    connection.socket.end(messages[0]!.method === "HEAD" ? empty : answer);
  };
  const outcome = await lane.send(octets(text), { ...timing, cuts });
  await Bun.sleep(4);
  const said = readOracle(text);
  const sent = lane.connections.filter((one) => !before.has(one) && one.text !== "");
  const readings = sent.map((one) => readOracle(one.text));
  const odd = readings.find(({ tail }) => tail === "reject");
  if (odd !== undefined) return `ambiguous upstream: ${odd.why}`;
  const got = readings.flatMap(({ messages }) => messages);
  if (got.length > said.messages.length) return `${got.length} messages upstream`;
  for (const [i, message] of got.entries()) {
    const same = said.messages.some(({ body }) => body === message.body);
    if (!same) return `content of message ${i} upstream is nobody's`;
  }
  const isHead = text.startsWith("HEAD ");
  const client = readOracle(outcome.text, { response: true, closed: outcome.closed });
  if (client.tail === "reject" && !isHead) return `ambiguous to the client: ${client.why}`;
  const refused = said.messages.length === 0 && said.tail === "reject" && !said.http2Preface;
  // A head in pieces may be waited for to its end before it is refused.
  if (!refused || (cuts.length > 0 && !text.trimStart().includes("\r\n\r\n"))) return undefined;
  if (!outcome.closed) return "refused, and the connection is still open";
  const last = Number(outcome.text.match(/(?<=HTTP\/1\.1 )[45]\d\d/)?.[0] ?? 0);
  return last >= 400 ? undefined : `refused with ${last}`;
}

async function tryResponse(
  lane: ProxyLane,
  text: string,
  cuts: readonly number[],
): Promise<string | undefined> {
  lane.clear();
  const path = `/${Bun.hash(text)}`;
  let used = false;
  lane.upstream = (connection, { messages }) => {
    if (messages.length <= connection.answered) return;
    connection.answered = messages.length;
    // What an earlier case left behind may still arrive.
    const odd = !used && messages.at(-1)!.target === path;
    used ||= odd;
    if (!odd) connection.socket.end(answer);
    else void sendPieces(connection, octets(text), cuts);
  };
  const outcome = await lane.send(octets(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`), timing);
  const client = readOracle(outcome.text, { response: true, closed: outcome.closed });
  if (client.tail === "reject") return `ambiguous to the client: ${client.why}`;
  const finals = client.messages.filter(({ status }) => status >= 200);
  if (finals.length > 1) return "two responses to one request";
  const said = readOracle(text, { response: true, closed: text.length % 2 === 0 });
  const first = said.messages.find(({ status }) => status >= 200);
  if (!used) return undefined;
  const own = finals[0]?.fields.some(([name]) => name === "x-mesh-reason") === true;
  if (first === undefined && finals.length > 0 && !own) return "complete, though it was not";
  if (first !== undefined && finals[0] !== undefined && !own && finals[0].body !== first.body) {
    return "other content";
  }
  return undefined;
}

/** Closes after octets of even number. */
async function sendPieces(
  connection: RecordedConnection,
  bytes: Uint8Array,
  cuts: readonly number[],
): Promise<void> {
  let start = 0;
  for (const cut of [...cuts, bytes.length]) {
    if (start > 0) await Bun.sleep(1);
    await writeAll(connection.socket, bytes.subarray(start, cut), () => connection.closed);
    start = cut;
  }
  if (bytes.length % 2 === 0) connection.socket.end();
}

function randomCuts(random: Random, length: number): number[] {
  if (random() < 0.5 || length < 2) return [];
  const count = random() < 0.8 ? 1 + Math.floor(random() * 3) : Math.min(length - 1, 40);
  const cuts = Array.from({ length: count }, () => 1 + Math.floor(random() * (length - 1)));
  return [...new Set(cuts)].sort((a, b) => a - b);
}

async function isAlive(lane: ProxyLane): Promise<boolean> {
  lane.upstream = (connection, { messages }) => {
    if (messages.length > 0) connection.socket.end(answer);
  };
  const outcome = await lane.send(probe, { firstMs: 3000, idleMs: 50 });
  return outcome.text.startsWith("HTTP/1.1 200");
}

async function run(seconds: number, seed: number): Promise<boolean> {
  const random: Random = seededRandom(seed);
  const lane = new ProxyLane();
  await lane.start();
  const until = performance.now() + seconds * 1000;
  let cases = 0;
  let sound = true;
  try {
    while (performance.now() < until && sound) {
      const response = random() < 0.5;
      const text = response ? randomResponse(random) : randomRequests(random);
      const cuts = randomCuts(random, text.length);
      const why = await (response ? tryResponse : tryRequest)(lane, text, cuts);
      cases++;
      if (why === undefined) continue;
      sound = false;
      console.log(
        `case ${cases} of seed ${seed} fails: ${why}\n  ${JSON.stringify({ text, cuts })}`,
      );
    }
    if (!(await isAlive(lane))) {
      sound = false;
      console.log(`after ${cases} cases of seed ${seed} the proxy does not answer`);
    }
  } finally {
    await lane.stop();
  }
  console.log(`running proxy: ${cases} cases in ${seconds} s, seed ${seed}`);
  return sound;
}

const seconds = Number(process.argv[2] ?? 60);
const seed = Number(process.argv[3] ?? Math.floor(Math.random() * 2 ** 31));
process.exit((await run(seconds, seed)) ? 0 : 1);
