/**
 * Whether a head that came by HTTP/2 is what the HTTP/1.1 scanner makes of the same octets: what
 * routing, policy and logging rely on.
 */
import { fieldIdCount } from "../http/field-id.ts";
import { Framing, MessageHead } from "../http/message-head.ts";
import { scanRequestHead } from "../http1/request-head.ts";
import { scanResponseHead } from "../http1/response-head.ts";

const request = [
  ...["method", "methodEnd", "form", "targetStart", "targetEnd", "pathStart", "pathEnd"],
  ...["queryStart", "queryEnd", "authorityStart", "authorityEnd", "hostEnd", "port"],
  ...["schemeIsHttps", "expectsContinue", "upgradesToWebsocket", "acceptsTrailers", "keepsAlive"],
] as const;
const response = ["reasonStart", "reasonEnd"] as const;
const both = [
  ...["start", "end", "minorVersion", "status", "contentLength", "connectionNamesFields"],
  ...["fieldCount", "repeated", "failure", "detail", "http2Preface"],
] as const;
const perField = ["fieldId", "nameStart", "nameEnd", "valueStart", "valueEnd", "dropped"] as const;

/** Undefined where all is the same; else the first thing that is not. */
export function headDifference(head: MessageHead): string | undefined {
  const scanned = new MessageHead(head.limits);
  scanned.requestMethod = head.requestMethod;
  scanned.upgradeWasSent = head.upgradeWasSent;
  const isRequest = head.status === 0;
  const scan = isRequest ? scanRequestHead : scanResponseHead;
  const end = scan(head.bytes, head.start, head.end, scanned);
  if (end !== head.end) return `ends at ${end}, not ${head.end}: ${scanned.detail}`;
  for (const name of [...both, ...(isRequest ? request : response)]) {
    const [a, b] = [head[name as keyof MessageHead], scanned[name as keyof MessageHead]];
    if (a !== b) return `${name}: ${String(a)} here, ${String(b)} scanned`;
  }
  for (const name of perField) {
    const count = name === "nameStart" ? head.fieldCount + 1 : head.fieldCount;
    const [a, b] = [head[name].slice(0, count), scanned[name].slice(0, count)];
    if (a.join() !== b.join()) return `${name}: ${a.join()} here, ${b.join()} scanned`;
  }
  for (let id = 0; id < fieldIdCount; id++) {
    if (head.firstOf[id] !== scanned.firstOf[id]) return `first field ${id}`;
  }
  return sameFraming(head, scanned) ? undefined : `framing ${head.framing} and ${scanned.framing}`;
}

/** HTTP/2 has no length for what HTTP/1.1 ends with the connection, or has no content for. */
function sameFraming(head: MessageHead, scanned: MessageHead): boolean {
  if (head.framing === scanned.framing) return true;
  const open: readonly number[] = [Framing.none, Framing.stream];
  const other: readonly number[] = [Framing.none, Framing.untilClose];
  return open.includes(head.framing) && other.includes(scanned.framing);
}
