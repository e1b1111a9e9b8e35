/**
 * The head of a request from its field block (RFC 9113 8.3.1), laid out as HTTP/1.1 and filled in
 * as scanRequestHead would: "METHOD target HTTP/1.1", Host first if :authority came, the fields.
 *
 * An extended CONNECT for websocket (RFC 8441) becomes the GET with Upgrade of HTTP/1.1.
 */
import { readAuthority } from "../http/authority.ts";
import { equalsWord } from "../http/connection-option.ts";
import { Length, readContentLength } from "../http/content-length.ts";
import { FieldId } from "../http/field-id.ts";
import { Framing, type MessageHead, TargetForm } from "../http/message-head.ts";
import { MethodId, methodIdOf } from "../http/method.ts";
import { Ascii, Octet, octetClass } from "../http/octet.ts";
import { type Fault, Malformed, Unserved } from "./fault.ts";
import type { FieldBlock } from "./field-block.ts";
import { Pseudo } from "./field-kind.ts";
import { KnownLine } from "./known-line.ts";

const encoder = new TextEncoder();
const text = {
  version: encoder.encode(" HTTP/1.1\r\n"),
  host: encoder.encode("host: "),
  get: encoder.encode("GET"),
  connect: encoder.encode("CONNECT"),
  websocket: encoder.encode("websocket"),
  connectionLine: encoder.encode("connection: upgrade\r\n"),
  upgradeLine: encoder.encode("upgrade: websocket\r\n"),
  continue: encoder.encode("100-continue"),
  http: encoder.encode("http"),
  https: encoder.encode("https"),
};

const bit = (pseudo: number): number => 1 << (pseudo - 128);
const needed = bit(Pseudo.method) | bit(Pseudo.scheme) | bit(Pseudo.path);
const allowed = needed | bit(Pseudo.authority) | bit(Pseudo.protocol);

export class RequestSection {
  /** Of the last request: its :scheme. */
  schemeIsHttps = false;
  readonly #block: FieldBlock;
  readonly #head: MessageHead;
  /** We have offered extended CONNECT. */
  readonly #connectProtocol: boolean;
  readonly #known: KnownLine;
  /** Of the target, in the scratch. */
  #targetFrom = 0;
  #targetTo = 0;

  /** `known`: the block's. */
  constructor(block: FieldBlock, connectProtocol: boolean, known: KnownLine = new KnownLine()) {
    this.#known = known;
    this.#block = block;
    this.#head = block.head;
    this.#connectProtocol = connectProtocol;
  }

  /** Decodes [from, to) into the head; `ended`: nothing follows. */
  decode(bytes: Uint8Array, from: number, to: number, ended: boolean): Fault | undefined {
    const block = this.#block;
    const known = this.#known;
    const isKnown = block.repeatLine(known, bytes, from, to);
    const learns = known.isWanted;
    if (isKnown) this.#beginKnown();
    const begun = isKnown
      ? undefined
      : (block.readPseudo(bytes, from, to, allowed) ?? this.#begin());
    const fault = begun ?? block.readFields() ?? block.fields.finish() ?? this.#judge(ended);
    if (fault === undefined) {
      block.fields.keep();
      if (learns) known.learn(block.fields, block.lineBytes, this.schemeIsHttps);
      return undefined;
    }
    return fault.scope === "connection" ? fault : (block.discard() ?? fault);
  }

  /** The line and Host of the request before are in the head. */
  #beginKnown(): void {
    const head = this.#head;
    head.status = 0;
    head.failure = undefined;
    head.detail = "";
    head.http2Preface = false;
    head.minorVersion = 1;
    head.upgradesToWebsocket = false;
    this.schemeIsHttps = this.#known.schemeIsHttps;
  }

  #begin(): Fault | undefined {
    const block = this.#block;
    const head = this.#head;
    head.status = 0;
    head.failure = undefined;
    head.detail = "";
    head.http2Preface = false;
    head.minorVersion = 1;
    head.schemeIsHttps = false;
    head.upgradesToWebsocket = false;
    head.authorityStart = -1;
    head.authorityEnd = -1;
    head.hostEnd = -1;
    head.port = 0;
    if (!block.has(Pseudo.method)) return Malformed.pseudoMissing;
    const { scratch } = block;
    const from = block.startOf(Pseudo.method);
    const to = block.endOf(Pseudo.method);
    if (!isToken(scratch, from, to)) return Malformed.method;
    if (equalsExactly(scratch, from, to, text.connect)) return this.#connect();
    if (block.has(Pseudo.protocol)) return Malformed.protocol;
    return this.#ordinary(scratch, from, to);
  }

  #connect(): Fault | undefined {
    const block = this.#block;
    if (block.has(Pseudo.protocol)) return this.#extendedConnect();
    const hasMore = block.has(Pseudo.scheme) || block.has(Pseudo.path);
    if (hasMore || !block.has(Pseudo.authority)) return Malformed.connect;
    const head = this.#head;
    this.schemeIsHttps = false;
    head.form = TargetForm.authority;
    head.method = MethodId.connect;
    this.#targetFrom = block.startOf(Pseudo.authority);
    this.#targetTo = block.endOf(Pseudo.authority);
    const fault = this.#line(text.connect, 0, text.connect.length) ?? this.#host();
    if (fault !== undefined) return fault;
    if (!readAuthority(head.bytes, head.targetStart, head.targetEnd, head))
      return Malformed.connect;
    return head.port > 0 && head.hostEnd > head.targetStart ? undefined : Malformed.connect;
  }

  #extendedConnect(): Fault | undefined {
    const block = this.#block;
    const { scratch } = block;
    if (!this.#connectProtocol) return Malformed.protocol;
    const from = block.startOf(Pseudo.protocol);
    const to = block.endOf(Pseudo.protocol);
    if (!isToken(scratch, from, to)) return Malformed.protocol;
    if (!equalsWord(scratch, from, to, text.websocket)) return Unserved.protocol;
    if (!block.has(Pseudo.authority)) return Malformed.pseudoMissing;
    const fault = this.#ordinary(text.get, 0, text.get.length);
    if (fault !== undefined) return fault;
    const head = this.#head;
    if (head.form !== TargetForm.origin) return Malformed.path;
    head.upgradesToWebsocket = true;
    block.fields.addField(text.connectionLine, 10, FieldId.connection, 1);
    block.fields.addField(text.upgradeLine, 7, FieldId.upgrade, 1);
    return undefined;
  }

  /** Request line and Host for everything but CONNECT. */
  #ordinary(method: Uint8Array, from: number, to: number): Fault | undefined {
    const block = this.#block;
    const head = this.#head;
    if (!block.has(Pseudo.scheme) || !block.has(Pseudo.path)) return Malformed.pseudoMissing;
    const scheme = this.#scheme();
    if (scheme !== undefined) return scheme;
    head.method = methodIdOf(method, from, to);
    this.#targetFrom = block.startOf(Pseudo.path);
    this.#targetTo = block.endOf(Pseudo.path);
    const line = this.#line(method, from, to);
    if (line !== undefined) return line;
    if (!readPath(head)) return Malformed.path;
    return block.has(Pseudo.authority) ? this.#host() : undefined;
  }

  #scheme(): Fault | undefined {
    const { scratch } = this.#block;
    const from = this.#block.startOf(Pseudo.scheme);
    const to = this.#block.endOf(Pseudo.scheme);
    this.schemeIsHttps = equalsWord(scratch, from, to, text.https);
    if (this.schemeIsHttps || equalsWord(scratch, from, to, text.http)) return undefined;
    return isScheme(scratch, from, to) ? Unserved.scheme : Malformed.scheme;
  }

  /** Starts the head with its request line. */
  #line(method: Uint8Array, from: number, to: number): Fault | undefined {
    const { fields, scratch } = this.#block;
    const head = this.#head;
    this.#block.beginHead();
    const target = this.#targetTo - this.#targetFrom;
    const length = to - from + 1 + target + text.version.length;
    if (length - 2 > head.limits.startLineBytesMax) return Unserved.targetTooLong;
    fields.need(length);
    fields.add(method, from, to);
    head.methodEnd = fields.at;
    fields.octet(Ascii.space);
    head.targetStart = fields.at;
    head.pathStart = fields.at;
    head.pathEnd = fields.at + target;
    head.queryStart = -1;
    head.queryEnd = -1;
    fields.add(scratch, this.#targetFrom, this.#targetTo);
    head.targetEnd = fields.at;
    fields.add(text.version, 0, text.version.length);
    return undefined;
  }

  /** The line of :authority. */
  #host(): Fault | undefined {
    const block = this.#block;
    const { fields, hpack } = block;
    const head = this.#head;
    const from = block.startOf(Pseudo.authority);
    const to = block.endOf(Pseudo.authority);
    fields.need(text.host.length + to - from + 2);
    hpack.kind = FieldId.host;
    hpack.nameEnd = hpack.at + 4;
    hpack.valueStart = hpack.at + 6;
    hpack.valueEnd = hpack.valueStart + to - from;
    hpack.lineEnd = hpack.valueEnd + 2;
    const { at } = hpack;
    fields.add(text.host, 0, text.host.length);
    fields.add(block.scratch, from, to);
    fields.octet(Ascii.cr);
    fields.octet(Ascii.lf);
    hpack.at = at;
    const { valueStart, valueEnd } = hpack;
    if (!readAuthority(hpack.out, valueStart, valueEnd, head)) return Malformed.authority;
    if (head.hostEnd === valueStart) return Malformed.authority;
    fields.hasAuthority = true;
    head.schemeIsHttps = this.schemeIsHttps;
    return fields.record(0);
  }

  /** What the fields say together. */
  #judge(ended: boolean): Fault | undefined {
    const head = this.#head;
    head.schemeIsHttps = false;
    head.keepsAlive = true;
    head.connectionNamesFields = false;
    head.acceptsTrailers =
      head.firstOf[FieldId.te] !== -1 && (head.repeated & (1 << FieldId.te)) === 0;
    return this.#judgeAuthority() ?? this.#judgeLength(ended) ?? judgeExpectation(head);
  }

  /** Without :authority there is one Host, and it says where to (RFC 9113 8.3.1). */
  #judgeAuthority(): Fault | undefined {
    const head = this.#head;
    if (this.#block.fields.hasAuthority) return undefined;
    const field = head.firstOf[FieldId.host]!;
    if (field === -1) return Malformed.pseudoMissing;
    const start = head.valueStart[field]!;
    const valid = readAuthority(head.bytes, start, head.valueEnd[field]!, head);
    return valid && head.hostEnd > start ? undefined : Malformed.authority;
  }

  #judgeLength(ended: boolean): Fault | undefined {
    const head = this.#head;
    const length = readContentLength(head);
    if (length < Length.absent) return Malformed.contentLength;
    head.contentLength = Math.max(length, 0);
    head.framing = Framing.none;
    if (head.method === MethodId.connect || head.upgradesToWebsocket) {
      return length === Length.absent ? undefined : Malformed.contentLength;
    }
    if (length !== Length.absent) head.framing = Framing.length;
    else if (!ended) head.framing = Framing.stream;
    return ended && length > 0 ? Malformed.length : undefined;
  }
}

/** The origin form, or "*" with OPTIONS, in [targetStart, targetEnd). */
function readPath(head: MessageHead): boolean {
  const { bytes, targetStart, targetEnd } = head;
  if (targetStart === targetEnd) return false;
  const first = bytes[targetStart]!;
  head.form = first === Ascii.star ? TargetForm.asterisk : TargetForm.origin;
  if (first === Ascii.star)
    return targetEnd === targetStart + 1 && head.method === MethodId.options;
  if (first !== Ascii.slash) return false;
  let at = targetStart;
  while (at < targetEnd && (octetClass[bytes[at]!]! & Octet.path) !== 0) at++;
  head.pathEnd = at;
  if (at === targetEnd) return true;
  if (bytes[at] !== Ascii.question) return false;
  head.queryStart = ++at;
  head.queryEnd = targetEnd;
  while (at < targetEnd && (octetClass[bytes[at]!]! & Octet.target) !== 0) at++;
  return at === targetEnd;
}

function judgeExpectation(head: MessageHead): Fault | undefined {
  head.expectsContinue = false;
  let field = head.firstOf[FieldId.expect]!;
  while (field !== -1) {
    const from = head.valueStart[field]!;
    if (!equalsWord(head.bytes, from, head.valueEnd[field]!, text.continue)) {
      return Unserved.expectation;
    }
    head.expectsContinue = true;
    field = head.nextOf(FieldId.expect, field);
  }
  return undefined;
}

function isToken(bytes: Uint8Array, from: number, to: number): boolean {
  let sound: number = from < to ? Octet.token : 0;
  for (let i = from; i < to; i++) sound &= octetClass[bytes[i]!]!;
  return sound !== 0;
}

/** RFC 3986 3.1. */
function isScheme(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const octet = bytes[i]!;
    const letter = (octet | 32) >= 97 && (octet | 32) <= 122;
    const other = (octet >= 48 && octet <= 57) || octet === 43 || octet === 45 || octet === 46;
    if (!letter && (!other || i === from)) return false;
  }
  return from < to;
}

function equalsExactly(bytes: Uint8Array, from: number, to: number, word: Uint8Array): boolean {
  if (to - from !== word.length) return false;
  for (let i = 0; i < word.length; i++) if (bytes[from + i] !== word[i]) return false;
  return true;
}
