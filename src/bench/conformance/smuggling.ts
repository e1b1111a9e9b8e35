/**
 * smuggling.json against a running proxy: what of each payload reaches the upstream.
 *
 * The invariants of the file: nothing that must be refused is completed upstream; what arrives is
 * one reading to a strict parser; valid requests arrive, with their content, and no more of them
 * than were sent; nothing incomplete is completed. All judged by the oracle, not by the codec.
 */
import { overLanes, type ProxyLane, type Upstream } from "./http-lane.ts";
import { type OracleReading, readOracle } from "./http-oracle.ts";
import { asText, fromBase64, type Label, readVectors } from "./http-vector.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

interface SmugglingCase extends Label {
  readonly name: string;
  readonly bytes_b64: string;
  readonly requests?: readonly { readonly body_b64: string }[];
}

/** Where silence is the answer; else what is due is awaited, however busy the machine is. */
const timing = { firstMs: 400, idleMs: 40 };
const dueMs = 10_000;
/** What the upstream may still get after the client has its answer. */
const settleMs = 8;

const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/** Answers the first request, or garbage, and closes: a connection serves one case only. */
const recorder: Upstream = (connection, reading) => {
  if (connection.answered > 0) return;
  if (reading.messages.length === 0 && reading.tail !== "reject") return;
  connection.answered++;
  connection.socket.end(answer);
};

async function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  const { cases } = readVectors<{ cases: SmugglingCase[] }>(path);
  const hosts = new Set(cases.map(hostOf).filter((host) => host !== undefined));
  const found = await overLanes(cases, [...hosts], judge);
  for (const [i, why] of found.entries()) verdicts.judge(cases[i]!.name, why);
  return verdicts.result();
}

/** The host of a case, where an operator could name a service so. */
function hostOf(one: SmugglingCase): string | undefined {
  const text = asText(fromBase64(one.bytes_b64));
  return /\r\nhost: ([a-z0-9]+)\r\n/i.exec(text)?.[1]?.toLowerCase();
}

/** By the inbound listener, and by the outbound one where that routes the host. */
async function judge(lane: ProxyLane, one: SmugglingCase): Promise<string | undefined> {
  const inbound = await judgeBy(lane, one, "inbound");
  if (inbound !== undefined || hostOf(one) === undefined) return inbound;
  const outbound = await judgeBy(lane, one, "outbound");
  return outbound === undefined ? undefined : `outbound: ${outbound}`;
}

async function judgeBy(
  lane: ProxyLane,
  one: SmugglingCase,
  listener: "inbound" | "outbound",
): Promise<string | undefined> {
  lane.clear();
  lane.upstream = recorder;
  const before = new Set(lane.connections);
  const outcome = await lane.send(fromBase64(one.bytes_b64), { ...timingOf(one), listener });
  await Bun.sleep(settleMs);
  const got = lane.connections.filter((connection) => !before.has(connection));
  const readings = got.map(({ text }) => text).filter((text) => text !== "");
  const statuses = (outcome.text.match(/(?<=HTTP\/1\.[01] )\d{3}/g) ?? []).map(Number);
  return verdict(
    one,
    readings.map((text) => readOracle(text)),
    { statuses, closed: outcome.closed },
  );
}

/** A refusal closes the connection; a valid request gets an answer first. */
function timingOf(one: SmugglingCase): typeof timing {
  if (one.must === "reject") return { firstMs: dueMs, idleMs: dueMs };
  return one.must === "wait" ? timing : { ...timing, firstMs: dueMs };
}

function verdict(
  one: SmugglingCase,
  upstream: readonly OracleReading[],
  client: { readonly statuses: readonly number[]; readonly closed: boolean },
): string | undefined {
  const messages = upstream.flatMap((reading) => reading.messages);
  const ambiguous = upstream.find(({ tail }) => tail === "reject");
  const said = `client got ${client.statuses.join(",") || "nothing"}`;
  if (ambiguous !== undefined) return `ambiguous upstream: ${ambiguous.why}; ${said}`;
  if (one.must === "reject" || one.must === "wait") {
    if (messages.length > 0) {
      return `${one.must === "reject" ? "accepted" : "completed"}, must ${one.must}; ${said}`;
    }
    if (one.must === "wait") return undefined;
    const refused = client.closed && (client.statuses.at(-1) ?? 0) >= 400;
    return refused ? undefined : `not refused and closed; ${said}, closed: ${client.closed}`;
  }
  const max = one.upstream_requests?.max ?? 1;
  if (messages.length > max) return `too many upstream: ${messages.length}, not ${max}`;
  if (messages.length === 0) {
    const mayRefuse = one.also_allowed.includes("reject") || one.upstream_requests?.min === 0;
    return mayRefuse ? undefined : `refused valid; ${said}`;
  }
  const wanted = one.requests?.[0]?.body_b64;
  const body = wanted === undefined ? messages[0]!.body : asText(fromBase64(wanted));
  return messages.some((message) => message.body === body) ? undefined : "content differs";
}

export const smugglingSuites: readonly Suite[] = [
  { file: "http/smuggling.json", title: "end to end", run },
];
