/**
 * Replies that the proxy makes itself: a status, why in x-mesh-reason, a short text for people, and
 * connection: close where the connection cannot go on.
 */
import type { Failure } from "../core/failure.ts";
import { reasonPhrase } from "../http/reason-phrase.ts";

export interface LocalReply {
  /** 200 to 599. */
  readonly status: number;
  /** For x-mesh-reason: stable words, in lower case with hyphens; "" leaves the field out. */
  readonly reason: string;
  /** The rule or limit that decided, or any text; no secrets. */
  readonly detail?: string;
  readonly closes: boolean;
  /** The answer to HEAD: the same fields, no content. */
  readonly bodiless?: boolean;
  /** More field lines, each with its CRLF: location, retry-after. */
  readonly fields?: string;
}

/** What every version of HTTP says of it. */
export interface ReplyParts {
  /** Whole lines, content-length among them. */
  readonly lines: string;
  readonly body: string;
}

export function replyParts(reply: Pick<LocalReply, "status" | "reason" | "detail">): ReplyParts {
  const { status, reason, detail = "" } = reply;
  const mayHaveContent = status !== 204 && status !== 304;
  const said = [reason, detail].filter((part) => part !== "").join(": ");
  const body = mayHaveContent && said !== "" ? `${printable(said)}\n` : "";
  const lines = [
    ...(reason === "" ? [] : [`x-mesh-reason: ${printable(reason)}`]),
    ...(body === "" ? [] : ["content-type: text/plain"]),
    ...(mayHaveContent ? [`content-length: ${body.length}`] : []),
  ];
  return { lines: lines.map((line) => `${line}\r\n`).join(""), body };
}

export function localReply(reply: LocalReply): Uint8Array {
  const { status, closes, bodiless = false, fields = "" } = reply;
  const { lines, body } = replyParts(reply);
  const start = `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n`;
  const head = `${start}${lines}${closes ? "connection: close\r\n" : ""}`;
  return new TextEncoder().encode(`${head}${fields}\r\n${bodiless ? "" : body}`);
}

/** The reply to a failure that has a status. */
export function failureReply(failure: Failure, closes: boolean, detail = ""): Uint8Array {
  return localReply({ status: failure.http, reason: failure.reason, detail, closes });
}

/** Keeps a text from ending a line or a field; one octet a character. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
