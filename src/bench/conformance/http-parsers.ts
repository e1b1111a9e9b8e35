/**
 * Fixtures of llhttp, picohttpparser and httparse. These parsers are more lenient than a proxy may
 * be, so requests are judged by the strict label of each case, and responses by the oracle; where
 * the fixture's parser itself refuses a response, so must we.
 */
import { MethodId } from "../../http/method.ts";
import { octets, readStream } from "../../testing/http1-stream.ts";
import { asRequest, judgeRequests, judgeResponses } from "./http-judgement.ts";
import { asText, fromBase64, type Label, readVectors } from "./http-vector.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

interface LlhttpCase {
  readonly name: string;
  readonly direction: "request" | "response";
  readonly mode: "strict" | "lenient";
  readonly input_b64: string;
  readonly input_raw8bit_b64?: string;
  readonly skip_body?: boolean;
  readonly expected: {
    readonly outcome: string;
    readonly error?: { readonly reason: string };
  };
  readonly proxy_label?: Label & { readonly bytes_with_host_b64?: string };
}

async function runLlhttp(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const one of readVectors<{ cases: LlhttpCase[] }>(path).cases) {
    const inputs = [one.input_b64, one.input_raw8bit_b64].filter((text) => text !== undefined);
    const problem = inputs.map((input) => judgeLlhttp(one, input)).find((why) => why !== undefined);
    verdicts.judge(one.name, problem);
  }
  return verdicts.result();
}

function judgeLlhttp(one: LlhttpCase, input: string): string | undefined {
  const bytes = fromBase64(input);
  if (one.proxy_label !== undefined) {
    const labelled = one.proxy_label.bytes_with_host_b64;
    return judgeRequests(labelled === undefined ? bytes : fromBase64(labelled), one.proxy_label);
  }
  if (one.direction === "request") return "a request without a label";
  const afterClose = one.expected.error?.reason.startsWith("Data after") === true;
  const mustRefuse = one.expected.outcome === "error" && !afterClose;
  const requestMethod = one.skip_body === true ? MethodId.head : MethodId.get;
  return judgeResponses(bytes, { requestMethod }, mustRefuse);
}

interface ParserCase {
  readonly name: string;
  readonly kind: "request" | "response" | "headers";
  readonly bytes_b64: string;
  readonly expected: "complete" | "partial" | "error";
  readonly note?: string;
  readonly strict_label?: Label;
}

interface ChunkedCase {
  readonly name: string;
  readonly bytes_b64: string;
  readonly consume_trailer?: boolean;
  readonly expected: "complete" | "partial" | "error";
  readonly decoded_b64?: string;
}

async function runParsers(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  const { cases, chunked } = readVectors<{ cases: ParserCase[]; chunked: ChunkedCase[] }>(path);
  for (const one of cases) verdicts.judge(one.name, judgeParser(one));
  for (const one of chunked) {
    verdicts.judge(
      `${one.name} ${asText(fromBase64(one.bytes_b64)).slice(0, 24)}`,
      judgeChunked(one),
    );
  }
  return verdicts.result();
}

function judgeParser(one: ParserCase): string | undefined {
  const bytes = fromBase64(one.bytes_b64);
  const mustRefuse = one.expected === "error";
  if (one.kind === "response") return judgeResponses(bytes, {}, mustRefuse);
  if (one.kind === "headers") {
    const must = mustRefuse ? "reject" : "forward-as-one";
    return judgeRequests(asRequest(bytes), { must, also_allowed: [], why: "" });
  }
  if (one.strict_label === undefined) return "a request without a label";
  const withHost = one.note?.startsWith("no Host") === true;
  const text = withHost ? asText(bytes).replace("\r\n", "\r\nHost: a\r\n") : asText(bytes);
  return judgeRequests(octets(text), one.strict_label);
}

/** picohttpparser may stop before the trailer section; we never do, so it is added there. */
function judgeChunked(one: ChunkedCase): string | undefined {
  const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const added = one.expected === "complete" && one.consume_trailer === false ? "\r\n" : "";
  const text = `${head}${asText(fromBase64(one.bytes_b64))}${added}`;
  const stream = readStream([octets(text)]);
  const refused = stream.end === "refused";
  const must = refused ? "reject" : stream.messages.length === 0 ? "wait" : "forward-as-one";
  const odd = judgeRequests(octets(text), { must, also_allowed: [], why: "" });
  if (odd !== undefined) return odd;
  if (one.expected === "error") return refused ? undefined : "must be refused";
  if (refused) return strictOnes.has(stream.detail) ? undefined : `refused: ${stream.detail}`;
  const body = stream.messages[0]?.body ?? stream.partial?.body;
  const decoded = one.decoded_b64 === undefined ? body : asText(fromBase64(one.decoded_b64));
  return body === decoded ? undefined : `decodes to ${JSON.stringify(body)}`;
}

/** What a proxy refuses though the fixture's parser does not: RFC 9112 7.1 is on our side. */
const strictOnes: ReadonlySet<string> = new Set(["chunk size too large", "bare LF in a trailer"]);

export const parserSuites: readonly Suite[] = [
  { file: "http/llhttp.json", run: runLlhttp },
  { file: "http/parsers.json", run: runParsers },
];
