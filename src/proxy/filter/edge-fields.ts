/**
 * What a listener at the edge believes of a request: nothing that a stranger could have written.
 * It decides the client's address, drops what only the mesh or a proxy in front may say, and
 * prepares the lines that go on in its place.
 *
 *   peer ─ trusted proxies, 0 … N, by count from our side ─ client ─ whatever it claims
 *
 * With N trusted proxies the last N entries of x-forwarded-for, and elements of Forwarded, were
 * written by them; what stands to the left is the client's own and goes no further. One is made per
 * worker. It is applied to every scan of a head (the same way each time), before anything reads
 * fields that it drops; what it prepared holds until the next. Nothing is allocated.
 */
import { copyRange } from "../../core/copy-range.ts";
import { FieldId } from "../../http/field-id.ts";
import { ForwardedList } from "../../http/forwarded.ts";
import { isIpLiteral } from "../../http/ip-literal.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { Ascii } from "../../http/octet.ts";

/** Istio's forwardClientCertDetails. */
export type ClientCertDetails =
  | "SANITIZE"
  | "FORWARD_ONLY"
  | "APPEND_FORWARD"
  | "SANITIZE_SET"
  | "ALWAYS_FORWARD_ONLY";

export interface EdgeRules {
  /** Proxies in front of this one, 64 at most; 0: clients connect themselves. */
  readonly trustedProxies: number;
  readonly clientCert: ClientCertDetails;
}

/** What is known of a connection, prepared once for all its requests. */
export interface EdgeConnection {
  /** Of the peer, as text: "203.0.113.9", "2001:db8::1". */
  readonly address: Uint8Array;
  readonly secure: boolean;
  /** An element of x-forwarded-client-cert for the certificate that it proved; none: undefined. */
  readonly certificate: Uint8Array | undefined;
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const lines = {
  for: encode("x-forwarded-for: "),
  http: encode("x-forwarded-proto: http\r\n"),
  https: encode("x-forwarded-proto: https\r\n"),
  forwarded: encode("forwarded: "),
  forElement: encode("for="),
  forIpv6: encode('for="['),
  certificate: encode("x-forwarded-client-cert: "),
  comma: encode(", "),
  quote: encode(']"'),
  crlf: encode("\r\n"),
};
/** Names that begin so are of the mesh, or of a proxy in front. */
const prefixes = ["x-forwarded-", "x-envoy-", "x-mesh-"].map(encode);
const claims: ReadonlySet<FieldId> = new Set([
  FieldId.xForwardedFor,
  FieldId.xForwardedProto,
  FieldId.xForwardedHost,
  FieldId.xForwardedClientCert,
  FieldId.forwarded,
  FieldId.xMeshReason,
  FieldId.xEnvoyAttemptCount,
  FieldId.xEnvoyOriginalPath,
]);
const PORT = encode("x-forwarded-port");
const schemes = { http: encode("http"), https: encode("https") };
const HYPHEN = 0x2d;

/** More hops than any chain of proxies has. */
const ENTRIES_MAX = 64;
/** Of an entry or an element that is passed on; a longer one is not of a proxy that means well. */
const ENTRY_BYTES_MAX = 64;
const ELEMENT_BYTES_MAX = 256;
const CERTIFICATE_BYTES_MAX = 4_096;
/** Room for as much as that, so that no line is ever cut. */
const OUT_BYTES = 32 * 1024;

export class EdgeFields {
  /** Lines to be added to the request: out[0, length). */
  readonly out: Uint8Array = new Uint8Array(OUT_BYTES);
  length = 0;
  /** The client's address, as text: clientBytes[clientStart, clientEnd). */
  clientBytes: Uint8Array = new Uint8Array(0);
  clientStart = 0;
  clientEnd = 0;
  /** The client used https, as far as is known. */
  secure = false;
  /** Entries of x-forwarded-for, the last ENTRIES_MAX of them, in a ring. */
  readonly #start = new Int32Array(ENTRIES_MAX);
  readonly #end = new Int32Array(ENTRIES_MAX);
  #entries = 0;
  readonly #forwarded = new ForwardedList();

  apply(head: MessageHead, from: EdgeConnection, rules: EdgeRules): void {
    const trusts = rules.trustedProxies > 0;
    this.length = 0;
    this.#setClient(from.address, 0, from.address.length);
    this.#entries = 0;
    const believed = trusts && this.#readForwarded(head, rules.trustedProxies);
    if (trusts) this.#readForwardedFor(head, rules.trustedProxies);
    const keepsProto = trusts && isScheme(head);
    dropClaims(head, trusts, keepsProto);
    if (trusts) this.#chooseClient(head, rules.trustedProxies, believed);
    this.#forwardedFor(head, from, rules.trustedProxies);
    if (believed && this.#forwarded.count > 0)
      this.#forwardedElements(head, from, rules.trustedProxies);
    this.secure = keepsProto ? saysHttps(head) : from.secure;
    if (!keepsProto) this.#add(from.secure ? lines.https : lines.http);
    this.#clientCert(head, from.certificate, rules.clientCert);
  }

  /** False: there is one that is not well formed, and none is believed. */
  #readForwarded(head: MessageHead, trusted: number): boolean {
    const list = this.#forwarded;
    list.clear();
    let field = head.firstOf[FieldId.forwarded]!;
    for (; field !== -1; field = head.nextOf(FieldId.forwarded, field))
      if (!list.add(head.bytes, head.valueStart[field]!, head.valueEnd[field]!)) return false;
    for (let i = Math.max(0, list.count - trusted); i < list.count; i++)
      if (list.end[i]! - list.start[i]! > ELEMENT_BYTES_MAX) return false;
    return true;
  }

  /** None of them where one that counts is longer than an address with a port. */
  #readForwardedFor(head: MessageHead, trusted: number): void {
    const { bytes, valueStart, valueEnd } = head;
    let field = head.firstOf[FieldId.xForwardedFor]!;
    for (; field !== -1; field = head.nextOf(FieldId.xForwardedFor, field)) {
      const to = valueEnd[field]!;
      let start = valueStart[field]!;
      for (let at = start; at <= to; at++) {
        if (at < to && bytes[at] !== Ascii.comma) continue;
        this.#entry(bytes, start, at);
        start = at + 1;
      }
    }
    for (let i = this.#entries - Math.min(this.#entries, trusted); i < this.#entries; i++) {
      const slot = i % ENTRIES_MAX;
      if (this.#end[slot]! - this.#start[slot]! > ENTRY_BYTES_MAX) this.#entries = 0;
    }
  }

  /** Without blanks around it; an empty one is none (RFC 9110 5.6.1). */
  #entry(bytes: Uint8Array, from: number, to: number): void {
    let start = from;
    let end = to;
    while (start < end && isBlank(bytes[start]!)) start++;
    while (end > start && isBlank(bytes[end - 1]!)) end--;
    if (start === end) return;
    const slot = this.#entries++ % ENTRIES_MAX;
    this.#start[slot] = start;
    this.#end[slot] = end;
  }

  /**
   * What the outermost trusted proxy says of its peer. With fewer entries than proxies, or one that
   * is no address, the peer of this connection is all that is known.
   */
  #chooseClient(head: MessageHead, trusted: number, believed: boolean): void {
    if (this.#entries > 0) {
      if (this.#entries < trusted) return;
      const slot = (this.#entries - trusted) % ENTRIES_MAX;
      this.#setAddress(head.bytes, this.#start[slot]!, this.#end[slot]!);
      return;
    }
    const { count, forStart, forEnd } = this.#forwarded;
    if (!believed || count < trusted) return;
    const element = count - trusted;
    if (forStart[element] !== -1) this.#setClient(head.bytes, forStart[element]!, forEnd[element]!);
  }

  /** "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80" */
  #setAddress(bytes: Uint8Array, from: number, to: number): void {
    if (bytes[from] === Ascii.bracketOpen) {
      let end = from + 1;
      while (end < to && bytes[end] !== Ascii.bracketClose) end++;
      if (end < to && isIpLiteral(bytes, from + 1, end)) this.#setClient(bytes, from + 1, end);
      return;
    }
    if (isIpLiteral(bytes, from, to)) return this.#setClient(bytes, from, to);
    let colon = from;
    while (colon < to && bytes[colon] !== Ascii.colon) colon++;
    if (colon < to && isIpLiteral(bytes, from, colon)) this.#setClient(bytes, from, colon);
  }

  #setClient(bytes: Uint8Array, from: number, to: number): void {
    this.clientBytes = bytes;
    this.clientStart = from;
    this.clientEnd = to;
  }

  #forwardedFor({ bytes }: MessageHead, { address }: EdgeConnection, trusted: number): void {
    this.#add(lines.for);
    for (let i = this.#entries - Math.min(this.#entries, trusted); i < this.#entries; i++) {
      const slot = i % ENTRIES_MAX;
      this.#addRange(bytes, this.#start[slot]!, this.#end[slot]!);
      this.#add(lines.comma);
    }
    this.#add(address);
    this.#add(lines.crlf);
  }

  #forwardedElements({ bytes }: MessageHead, { address }: EdgeConnection, trusted: number): void {
    const { count, start, end } = this.#forwarded;
    this.#add(lines.forwarded);
    for (let i = Math.max(0, count - trusted); i < count; i++) {
      this.#addRange(bytes, start[i]!, end[i]!);
      this.#add(lines.comma);
    }
    const isIpv6 = address.includes(Ascii.colon);
    this.#add(isIpv6 ? lines.forIpv6 : lines.forElement);
    this.#add(address);
    if (isIpv6) this.#add(lines.quote);
    this.#add(lines.crlf);
  }

  /** Its lines are a list, so one more line is one more element. */
  #clientCert(
    head: MessageHead,
    certificate: Uint8Array | undefined,
    details: ClientCertDetails,
  ): void {
    const proved = certificate !== undefined;
    const forwards =
      details === "ALWAYS_FORWARD_ONLY" ||
      (proved && (details === "FORWARD_ONLY" || details === "APPEND_FORWARD"));
    if (!forwards) head.drop(FieldId.xForwardedClientCert);
    if (!proved || (details !== "APPEND_FORWARD" && details !== "SANITIZE_SET")) return;
    if (certificate.length > CERTIFICATE_BYTES_MAX) return;
    this.#add(lines.certificate);
    this.#add(certificate);
    this.#add(lines.crlf);
  }

  #add(bytes: Uint8Array): void {
    this.#addRange(bytes, 0, bytes.length);
  }

  #addRange(bytes: Uint8Array, from: number, to: number): void {
    copyRange.call(bytes, this.out, this.length, from, to);
    this.length += to - from;
  }
}

function isBlank(octet: number): boolean {
  return octet === Ascii.space || octet === Ascii.tab;
}

/** Exactly one x-forwarded-proto, that says http or https. */
function isScheme(head: MessageHead): boolean {
  const field = head.firstOf[FieldId.xForwardedProto]!;
  if (field === -1 || head.nextOf(FieldId.xForwardedProto, field) !== -1) return false;
  const { bytes, valueStart, valueEnd } = head;
  const from = valueStart[field]!;
  const to = valueEnd[field]!;
  return isSame(bytes, from, to, schemes.http) || isSame(bytes, from, to, schemes.https);
}

/** For a head that isScheme. */
function saysHttps(head: MessageHead): boolean {
  const field = head.firstOf[FieldId.xForwardedProto]!;
  return head.valueEnd[field]! - head.valueStart[field]! === schemes.https.length;
}

/**
 * What was dropped as a claim is not to be found any more, so that no rule goes by it either.
 * Fields of one hop are left: rules may ask for "upgrade". Once, after the last apply to a scan.
 */
export function hideClaims(head: MessageHead): void {
  const { fieldCount, fieldId, dropped, nameStart, nameEnd, bytes } = head;
  for (let i = 0; i < fieldCount; i++) {
    if (dropped[i] === 0) continue;
    const id = fieldId[i] as FieldId;
    const isClaimed = id === FieldId.other ? (bytes[nameStart[i]!]! | 32) === 120 : claims.has(id);
    if (!isClaimed) continue;
    head.firstOf[id] = -1;
    fieldId[i] = FieldId.other;
    nameEnd[i] = nameStart[i]!;
  }
}

/** Of a head that came in at no edge: who the peer is, is known by its connection alone. */
export function hideClientCert(head: MessageHead): void {
  const id = FieldId.xForwardedClientCert;
  let field = head.firstOf[id]!;
  head.firstOf[id] = -1;
  while (field !== -1) {
    const next = head.nextOf(id, field);
    head.dropped[field] = 1;
    head.fieldId[field] = FieldId.other;
    head.nameEnd[field] = head.nameStart[field]!;
    field = next;
  }
}

function isSame(bytes: Uint8Array, from: number, to: number, word: Uint8Array): boolean {
  if (to - from !== word.length) return false;
  for (let i = 0; i < word.length; i++) if (bytes[from + i] !== word[i]) return false;
  return true;
}

/** A trusted proxy may say which scheme, host and port it was asked for; nobody else may. */
function dropClaims(head: MessageHead, trusts: boolean, keepsProto: boolean): void {
  const { fieldCount, fieldId, dropped } = head;
  for (let i = 0; i < fieldCount; i++) {
    switch (fieldId[i]) {
      case FieldId.xForwardedHost:
        if (!trusts) dropped[i] = 1;
        break;
      case FieldId.xForwardedProto:
        if (!keepsProto) dropped[i] = 1;
        break;
      case FieldId.xForwardedClientCert:
        break;
      case FieldId.xForwardedFor:
      case FieldId.forwarded:
      case FieldId.xMeshReason:
      case FieldId.xEnvoyAttemptCount:
      case FieldId.xEnvoyOriginalPath:
        dropped[i] = 1;
        break;
      case FieldId.other:
        if (isClaim(head, i) && !(trusts && head.find(PORT, i) === i)) dropped[i] = 1;
    }
  }
}

function isClaim({ bytes, nameStart, nameEnd }: MessageHead, field: number): boolean {
  const start = nameStart[field]!;
  if ((bytes[start]! | 32) !== 120 || bytes[start + 1] !== HYPHEN) return false;
  for (let k = 0; k < prefixes.length; k++) {
    const prefix = prefixes[k]!;
    if (nameEnd[field]! - start <= prefix.length) continue;
    let i = 2;
    while (i < prefix.length && (bytes[start + i]! | 32) === prefix[i]) i++;
    if (i === prefix.length) return true;
  }
  return false;
}
