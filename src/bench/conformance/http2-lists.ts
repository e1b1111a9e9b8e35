/**
 * Lists of fields as one request each: what is malformed must never become a request, and what is
 * sound must be one that HTTP/1.1 reads as the same.
 */
import { MessageHead } from "../../http/message-head.ts";
import { scanRequestHead } from "../../http1/request-head.ts";
import { FrameType } from "../../http2/frame.ts";
import { octets } from "../../testing/http1-stream.ts";
import { frame, headers, Peer } from "../../testing/http2-peer.ts";
import { asText, fromBase64, readVectors } from "./http-vector.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

interface ListCase {
  readonly name: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly data_b64: string;
  readonly must: "reject" | "forward" | "normalise";
}

async function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const one of readVectors<{ cases: ListCase[] }>(path).cases) {
    verdicts.judge(one.name, judge(one));
  }
  return verdicts.result();
}

function judge(one: ListCase): string | undefined {
  const fields = one.headers.map(
    ([name, value]) => [asText(fromBase64(name)), asText(fromBase64(value))] as const,
  );
  const content = fromBase64(one.data_b64);
  const peer = Peer.ready("server");
  peer.says(headers(1, fields, content.length === 0));
  if (content.length > 0) peer.says(frame(FrameType.data, 1, 1, content));
  const told = peer.told();
  if (peer.session.failure !== undefined) return `ends the connection: ${told.at(-1)}`;
  const whole = told.includes("1 end");
  if (one.must === "reject") return whole ? `taken: ${told[0]}` : undefined;
  if (!whole) return `refused: ${told.at(-1)}`;
  const text = told[0]!.replace("1 head ", "").replaceAll("|", "\r\n");
  const crumbs = fields.filter(([name]) => name === "cookie").map(([, value]) => value);
  const cookie = `\r\ncookie: ${crumbs.join("; ")}\r\n`;
  if (crumbs.length > 1 && !text.includes(cookie)) return `cookies are not joined: ${text}`;
  const head = new MessageHead();
  const bytes = octets(`${text}\r\n`);
  return scanRequestHead(bytes, 0, bytes.length, head) > 0 ? undefined : `HTTP/1.1: ${head.detail}`;
}

export const listSuites: readonly Suite[] = [{ file: "http/h2-header-lists.json", run }];
