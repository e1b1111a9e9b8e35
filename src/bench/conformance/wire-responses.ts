/**
 * responses.json against a running proxy: what a client sees of each upstream answer, and whether
 * the upstream connection is used again. Judged by the oracle.
 */
import { overLanes, type ProxyLane, writeAll } from "./http-lane.ts";
import { type OracleMessage, readOracle } from "./http-oracle.ts";
import { allowedStatuses, type ResponseCase, readResponseCases } from "./http-responses.ts";
import { asText, fromBase64 } from "./http-vector.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

/** The proxy may wait for more of an answer that never comes; its own timeouts are longer. */
const timing = { firstMs: 400, idleMs: 60 };
const probe = "GET /again HTTP/1.1\r\nHost: a\r\n\r\n";
const probeAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain";

async function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  const cases = readResponseCases(path);
  const found = await overLanes(cases, [], judge);
  for (const [i, why] of found.entries()) verdicts.judge(cases[i]!.name, why);
  return verdicts.result();
}

async function judge(lane: ProxyLane, one: ResponseCase): Promise<string | undefined> {
  const { method, version } = one.request;
  lane.clear();
  lane.upstream = answering(one);
  const request = `${method} / HTTP/${version}\r\nHost: a\r\n\r\n`;
  const outcome = await lane.send(Buffer.from(request, "latin1"), timing);
  const context = { response: true, requestMethod: method, closed: outcome.closed };
  const { messages, tail, why } = readOracle(outcome.text, context);
  if (tail === "reject") return `ambiguous to the client: ${why}`;
  const interims = messages.filter(({ status }) => status < 200);
  const finals = messages.filter(({ status }) => status >= 200);
  const said = `client got ${finals.map(({ status }) => status).join(",") || "nothing whole"}`;
  if (interims.length > 0 && version === "1.0") return "an interim response to HTTP/1.0";
  if (finals.length > 1) return `two responses; ${said}`;
  const allowed = allowedStatuses(one);
  const status = finals[0]?.status ?? 0;
  if (!allowed.has(status)) return `${said}, not ${[...allowed].join(" or ")}`;
  if (status === 0 && !outcome.closed) return "incomplete, and the client cannot tell";
  const content = wrongContent(one, finals[0]);
  if (content !== undefined || status === 502) return content;
  return await wrongReuse(lane, one);
}

/** The case's octets for its request, plain answers for the probes that follow. */
function answering(one: ResponseCase): ProxyLane["upstream"] {
  let used = false;
  return (connection, { messages }) => {
    if (messages.length <= connection.answered) return;
    connection.answered = messages.length;
    if (messages.at(-1)!.target === "/again") {
      connection.socket.write(probeAnswer);
      return;
    }
    if (used) return void connection.socket.end();
    used = true;
    const { socket } = connection;
    void writeAll(socket, fromBase64(one.upstream_b64), () => connection.closed).then(() => {
      if (one.upstream_closes_after) socket.end();
    });
  };
}

function wrongContent(one: ResponseCase, got: OracleMessage | undefined): string | undefined {
  if (got === undefined || got.status >= 500) return undefined;
  const named = (name: string): boolean => got.fields.some(([key]) => key === name);
  const hop = ["x-secret", "keep-alive", "proxy-connection"].find(named);
  if (hop !== undefined) return `the client sees ${hop}`;
  if (got.status === 204 && named("transfer-encoding")) return "Transfer-Encoding in a 204";
  if (got.trailers.some(([name]) => /^(content-length|transfer-encoding)$/.test(name))) {
    return "a trailer that frames";
  }
  if (one.client_body_b64 === undefined) return undefined;
  const wanted = asText(fromBase64(one.client_body_b64));
  return got.body === wanted ? undefined : `content ${JSON.stringify(got.body.slice(0, 40))}`;
}

/** Two probes: does the first go over the connection of the case? */
async function wrongReuse(lane: ProxyLane, one: ResponseCase): Promise<string | undefined> {
  const first = lane.connections.find(({ answered }) => answered > 0);
  if (first === undefined) return "nothing arrived upstream";
  const before = first.answered;
  const outcome = await lane.send(Buffer.from(probe), { ...timing, idleMs: 20 });
  if (!outcome.text.endsWith("again")) return `the next request got ${outcome.text.slice(0, 40)}`;
  const reused = first.answered > before;
  if (one.upstream_connection_reusable === false && reused) return "the connection was used again";
  if (one.upstream_connection_reusable !== true || reused) return undefined;
  return "the connection was not used again";
}

export const wireResponseSuites: readonly Suite[] = [
  { file: "http/responses.json", title: "end to end", run },
];
