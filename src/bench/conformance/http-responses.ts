/** What upstreams may answer (responses.json), read by the codec. */
import { MethodId } from "../../http/method.ts";
import { readStream } from "../../testing/http1-stream.ts";
import { judgeResponses } from "./http-judgement.ts";
import { asText, fromBase64, readVectors } from "./http-vector.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

export interface ResponseCase {
  readonly name: string;
  readonly request: { readonly method: string; readonly version: string };
  readonly upstream_b64: string;
  readonly upstream_closes_after: boolean;
  /** In words, beginning with a status or "aborted". */
  readonly client: string;
  readonly also_allowed?: readonly string[];
  readonly client_body_b64?: string;
  readonly upstream_connection_reusable: boolean | null;
  /** The client must be able to tell that the message is incomplete. */
  readonly incomplete?: boolean;
}

export function readResponseCases(path: string): readonly ResponseCase[] {
  return readVectors<{ cases: ResponseCase[] }>(path).cases;
}

/** Statuses that the case's words allow; 502 stands for any refusal, 0 for an aborted message. */
export function allowedStatuses(one: ResponseCase): ReadonlySet<number> {
  const texts = [one.client, ...(one.also_allowed ?? [])];
  const statuses = texts.flatMap((text) => (text.match(/\b[1-5]\d\d\b/g) ?? []).map(Number));
  const aborts = texts.some((text) => text.includes("aborted")) || one.incomplete === true;
  return new Set([...statuses.filter((status) => status >= 200), ...(aborts ? [0] : [])]);
}

async function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const one of readResponseCases(path)) verdicts.judge(one.name, judge(one));
  return verdicts.result();
}

function judge(one: ResponseCase): string | undefined {
  const bytes = fromBase64(one.upstream_b64);
  const requestMethod = one.request.method === "HEAD" ? MethodId.head : MethodId.get;
  const odd = judgeResponses(bytes, { requestMethod }, false);
  if (odd !== undefined) return odd;
  const stream = readStream([bytes], { response: true, requestMethod });
  const finals = stream.messages.filter((message) => !message.start.startsWith("1"));
  const last = finals[0] ?? stream.partial;
  const closed = one.upstream_closes_after && stream.end === "untilClose";
  const complete = closed || finals.length > 0;
  const status = complete ? Number(last?.start.slice(0, 3)) : last === undefined ? 502 : 0;
  const allowed = allowedStatuses(one);
  const bodyFails = stream.end === "refused" && allowed.has(502);
  if (!allowed.has(status) && !bodyFails) return `${status}, not ${[...allowed]}: ${stream.detail}`;
  if (status >= 200 && status < 500 && one.client_body_b64 !== undefined) {
    const wanted = asText(fromBase64(one.client_body_b64));
    if (last?.body !== wanted) return `content ${JSON.stringify(last?.body.slice(0, 40))}`;
  }
  if (status === 502) return undefined;
  // Octets after the response are nobody's: the connection is not used again.
  const reusable = finals.length === 1 && stream.end === "none" && last?.keepsAlive === true;
  if (one.upstream_connection_reusable === false && reusable)
    return "would use the connection again";
  if (one.upstream_connection_reusable === true && !reusable) return "would not use it again";
  return undefined;
}

export const responseSuites: readonly Suite[] = [
  { file: "http/responses.json", title: "codec", run },
];
