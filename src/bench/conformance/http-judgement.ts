/**
 * Whether the codec reads a stream as it must: the same at every split, as the oracle does, as the
 * vector's label demands, and sends on only what the oracle takes for the same one message.
 */

import { MethodId, methodNames } from "../../http/method.ts";
import { cuts, randomCuts } from "../../testing/cuts.ts";
import {
  type Http1Stream,
  isReadAlike,
  octets,
  readStream,
  type SeenMessage,
  type StreamOptions,
} from "../../testing/http1-stream.ts";
import { type OracleContext, type OracleMessage, readOracle } from "./http-oracle.ts";
import { asText, type Label } from "./http-vector.ts";

/** Inputs up to this length are cut at every offset. */
const everyCutMax = 256;
const seed = 4;

/** Undefined where all is well, else what is wrong. */
export function judgeRequests(bytes: Uint8Array, label: Label): string | undefined {
  const stream = readStream([bytes]);
  return (
    differsBySplit(bytes, stream, {}) ??
    againstLabel(stream, label) ??
    againstOracle(asText(bytes), stream, {}) ??
    badForward(stream, {})
  );
}

/** For responses, which have no label: `mustRefuse` where the fixture's own parser refuses. */
export function judgeResponses(
  bytes: Uint8Array,
  options: StreamOptions,
  mustRefuse: boolean,
): string | undefined {
  const all = { ...options, response: true };
  const stream = readStream([bytes], all);
  const context: OracleContext = {
    response: true,
    requestMethod: methodNames[options.requestMethod ?? MethodId.get]!,
    upgradeWasSent: options.upgradeWasSent ?? false,
  };
  if (mustRefuse && stream.end !== "refused") return `must be refused, and is ${stream.end}`;
  return (
    differsBySplit(bytes, stream, all) ??
    againstOracle(asText(bytes), stream, context) ??
    badForward(stream, context)
  );
}

function differsBySplit(
  bytes: Uint8Array,
  whole: Http1Stream,
  options: StreamOptions,
): string | undefined {
  const ways = bytes.length <= everyCutMax ? cuts(bytes, seed) : randomCuts(bytes, seed, 4);
  return differsByCut(whole, ways, options);
}

function differsByCut(
  whole: Http1Stream,
  ways: Iterable<Uint8Array[]>,
  options: StreamOptions,
): string | undefined {
  for (const chunks of ways) {
    if (!isReadAlike(whole, readStream(chunks, options))) {
      return `differs when cut into ${chunks
        .map((chunk) => chunk.length)
        .slice(0, 9)
        .join(",")}…`;
    }
  }
  return undefined;
}

/**
 * As far as any octets can be judged: alike in random pieces, as the oracle, one message sent on.
 */
export function judgeAgreement(
  bytes: Uint8Array,
  options: StreamOptions,
  cutSeed: number,
): string | undefined {
  const stream = readStream([bytes], options);
  const context: OracleContext = {
    response: options.response ?? false,
    requestMethod: methodNames[options.requestMethod ?? MethodId.get]!,
    upgradeWasSent: options.upgradeWasSent ?? false,
  };
  return (
    differsByCut(stream, randomCuts(bytes, cutSeed, 2), options) ??
    againstOracle(asText(bytes), stream, context) ??
    badForward(stream, context)
  );
}

function againstLabel(stream: Http1Stream, label: Label): string | undefined {
  const { messages, end } = stream;
  const count = messages.length;
  const said = `${count} messages, then ${end} ${stream.failure?.reason ?? ""} ${stream.detail}`;
  if (label.h2_preface === true) return stream.http2Preface ? undefined : `no preface: ${said}`;
  if (end === "refused" && count === 0) return refusal(stream, label, said);
  if (label.must === "reject") return `must be refused: ${said}`;
  if (label.must === "wait") return count === 0 ? undefined : `must wait: ${said}`;
  const min = label.upstream_requests?.min ?? 1;
  const max = label.upstream_requests?.max ?? Math.max(1, min);
  // An Upgrade that we do not offer is left out; what follows is then the next request.
  const upgrades = messages.at(-1)?.fields.some(([name]) => name.toLowerCase() === "upgrade");
  const closed = end === "closed" || end === "tunnel";
  if (count > max || (count < min && !closed)) return `${min} to ${max} messages, not: ${said}`;
  const tail = label.tail ?? "none";
  const fits =
    closed ||
    (tail === "ignore" && upgrades) ||
    (tail === "none" && end === "none") ||
    (tail === "reject" && end === "refused") ||
    (tail === "wait" && end === "wait");
  return fits ? undefined : `${tail} must follow: ${said}`;
}

function refusal(stream: Http1Stream, label: Label, said: string): string | undefined {
  const allowed =
    label.must === "reject" || label.also_allowed.includes("reject") || label.must === "wait";
  if (!allowed) return `must not be refused: ${said}`;
  const hint = label.must === "reject" ? label.status_hint : undefined;
  if (hint === undefined || hint === stream.failure?.http) return undefined;
  return `must be refused with ${hint}: ${said}, ${stream.failure?.http}`;
}

/**
 * The oracle refuses some heads only when they are complete: a refusal may come before its wait.
 */
function againstOracle(
  text: string,
  stream: Http1Stream,
  context: OracleContext,
): string | undefined {
  const oracle = readOracle(text, context);
  if (oracle.http2Preface) return undefined;
  const ours = stream.messages.map((message) => [message.body, names(message.fields)]);
  const theirs = oracle.messages.map((message) => [message.body, names(message.fields)]);
  if (JSON.stringify(ours) !== JSON.stringify(theirs)) {
    return `${ours.length} messages read, ${theirs.length} by the oracle, or other content`;
  }
  const expected = { none: "none", reject: "refused", wait: "wait", ignore: "closed" }[oracle.tail];
  const end = stream.end === "tunnel" ? "closed" : stream.end;
  if (end === expected || (end === "closed" && expected === "none")) return undefined;
  // Empty lines after a message are skipped, or may begin the next one, up to our limit.
  if (expected === "none" && end === "wait") return undefined;
  if (stream.detail === "too many empty lines") return undefined;
  if (expected === "wait" && (end === "refused" || end === "untilClose")) return undefined;
  return `ends ${end} ${stream.detail}, by the oracle ${expected}: ${oracle.why}`;
}

function names(fields: SeenMessage["fields"] | OracleMessage["fields"]): string[] {
  return fields.map(([name, value]) => `${name.toLowerCase()}:${value}`);
}

/** What is sent on must be exactly one message to the oracle, with the same content. */
function badForward(stream: Http1Stream, context: OracleContext): string | undefined {
  for (const message of stream.messages) {
    const oracle = readOracle(message.forwarded, { ...context, closed: true });
    const sent = oracle.messages[0];
    if (oracle.messages.length !== 1 || sent === undefined || sent.end < message.forwarded.length) {
      return `sends on what is not one message: ${oracle.why} ${oracle.tail}`;
    }
    if (sent.body !== message.body) return "sends on another content";
    if (sent.minorVersion !== 1) return "sends on another version than 1.1";
    const hop = ["connection", "keep-alive", "te", "upgrade", "proxy-connection", "http2-settings"];
    const switches = sent.status === 101;
    const left = switches ? undefined : sent.fields.find(([name]) => hop.includes(name));
    if (left !== undefined) return `sends on ${left[0]}`;
  }
  return undefined;
}

/** A request around a lone field section, for fixtures that have no request line. */
export function asRequest(fields: Uint8Array): Uint8Array {
  return octets(`GET / HTTP/1.1\r\n${asText(fields)}`);
}
