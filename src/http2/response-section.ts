/**
 * The head of a response from its field block (RFC 9113 8.3.2), laid out as HTTP/1.1 and filled in
 * as scanResponseHead would. Where the stream is a websocket's, a 2xx becomes the 101 that
 * HTTP/1.1 has for it (RFC 8441 5).
 */
import { Length, readContentLength } from "../http/content-length.ts";
import { FieldId } from "../http/field-id.ts";
import { Framing, type MessageHead } from "../http/message-head.ts";
import { MethodId } from "../http/method.ts";
import { Ascii, Octet, octetClass } from "../http/octet.ts";
import { reasonPhrase } from "../http/reason-phrase.ts";
import { type Fault, Malformed } from "./fault.ts";
import type { FieldBlock } from "./field-block.ts";
import { Pseudo } from "./field-kind.ts";

const encoder = new TextEncoder();
const allowed = 1 << (Pseudo.status - 128);
const connectionLine = encoder.encode("connection: upgrade\r\n");
const upgradeLine = encoder.encode("upgrade: websocket\r\n");
/** Status → its line, made when it is first needed. */
const statusLines: (Uint8Array | undefined)[] = new Array(600);

export class ResponseSection {
  readonly #block: FieldBlock;
  readonly #head: MessageHead;

  constructor(block: FieldBlock) {
    this.#block = block;
    this.#head = block.head;
  }

  /**
   * Decodes [from, to) into the head, whose requestMethod and upgradeWasSent say what it answers;
   * `ended`: nothing follows.
   */
  decode(bytes: Uint8Array, from: number, to: number, ended: boolean): Fault | undefined {
    const block = this.#block;
    const fault =
      block.readPseudo(bytes, from, to, allowed) ??
      this.#begin() ??
      block.readFields() ??
      block.fields.finish() ??
      this.#judge(ended);
    if (fault === undefined) {
      block.fields.keep();
      return undefined;
    }
    return fault.scope === "connection" ? fault : (block.discard() ?? fault);
  }

  #begin(): Fault | undefined {
    const block = this.#block;
    const head = this.#head;
    head.failure = undefined;
    head.detail = "";
    head.minorVersion = 1;
    const status = this.#status();
    if (status < 100 || status > 599 || status === 101) return Malformed.status;
    const upgraded = head.upgradeWasSent && status >= 200 && status < 300;
    head.status = upgraded ? 101 : status;
    const line = statusLine(head.status);
    block.beginHead();
    const { fields } = block;
    fields.need(line.length);
    head.reasonStart = fields.at + 13;
    head.reasonEnd = fields.at + line.length - 2;
    fields.add(line, 0, line.length);
    if (upgraded) {
      fields.addField(connectionLine, 10, FieldId.connection, 1);
      fields.addField(upgradeLine, 7, FieldId.upgrade, 1);
    }
    return undefined;
  }

  #status(): number {
    const block = this.#block;
    const { scratch } = block;
    const from = block.startOf(Pseudo.status);
    if (!block.has(Pseudo.status) || block.endOf(Pseudo.status) - from !== 3) return 0;
    let status = 0;
    for (let i = from; i < from + 3; i++) {
      if ((octetClass[scratch[i]!]! & Octet.digit) === 0) return 0;
      status = status * 10 + scratch[i]! - Ascii.zero;
    }
    return status;
  }

  /** RFC 9112 6.3 in its order, as far as HTTP/2 has it. */
  #judge(ended: boolean): Fault | undefined {
    const head = this.#head;
    const { status, requestMethod } = head;
    head.keepsAlive = true;
    head.connectionNamesFields = false;
    trimLength(head);
    const length = readContentLength(head);
    head.contentLength = Math.max(length, 0);
    const tunnels = requestMethod === MethodId.connect && status >= 200 && status < 300;
    if (status < 200 || (status === 204 && !tunnels)) {
      head.drop(FieldId.contentLength);
      head.contentLength = 0;
      head.framing = status === 101 ? Framing.tunnel : Framing.none;
      return undefined;
    }
    if (length < Length.absent) return Malformed.contentLength;
    if (tunnels) {
      head.framing = Framing.tunnel;
      head.drop(FieldId.contentLength);
    } else if (requestMethod === MethodId.head || status === 304) head.framing = Framing.none;
    else if (length !== Length.absent) head.framing = Framing.length;
    else head.framing = ended ? Framing.none : Framing.stream;
    return ended && head.framing === Framing.length && length > 0 ? Malformed.length : undefined;
  }
}

/** As http1/response-head.ts: the value begins after leading zeros. */
function trimLength(head: MessageHead): void {
  const field = head.firstOf[FieldId.contentLength]!;
  if (field === -1) return;
  const last = head.valueEnd[field]! - 1;
  while (head.valueStart[field]! < last && head.bytes[head.valueStart[field]!] === Ascii.zero) {
    head.valueStart[field]!++;
  }
}

function statusLine(status: number): Uint8Array {
  const reason = status === 101 ? "Switching Protocols" : reasonPhrase(status);
  statusLines[status] ??= encoder.encode(`HTTP/1.1 ${status} ${reason}\r\n`);
  return statusLines[status];
}
