/**
 * What a client speaks, by its first bytes. Pure: the same bytes give the same answer, and more
 * bytes never change an answer that was given.
 *
 *   declared protocol ─▶ that           port whose server speaks first ─▶ opaque, without waiting
 *   else the bytes:  TLS ClientHello │ HTTP/2 preface │ HTTP/1 request line │ opaque
 *
 * HTTP/1 is taken for such only with " HTTP/" in its first line, so that Redis's inline `GET key`,
 * SMTP or RTSP pass as what they are. Who sends nothing within the limit is opaque.
 */
export type Sniffed = "tls" | "http1" | "http2" | "opaque";

export type Declared = "http" | "http2" | "tls" | "tcp" | "unknown";

/** For a port of which nothing is declared, from accept. */
export const SNIFF_MS = 100;
/** Where TLS is declared, or has begun: there the client speaks first, so it may take its time. */
export const HELLO_MS = 5_000;

/** A longer line is HTTP if its target is a path, for HTTP answers that with its own limit. */
const LINE_BYTES_MAX = 8_192;
const METHOD_BYTES_MAX = 32;

/**
 * FTP, SSH, SMTP, POP3, NNTP, IMAP, submission, MySQL: the client waits for a greeting. DNS and
 * MongoDB, which Istio counts among them: their clients begin, with nothing that could be told.
 */
export const serverFirstPorts: ReadonlySet<number> = new Set([
  21, 22, 25, 53, 110, 119, 143, 587, 3_306, 27_017,
]);

/** What needs no bytes; undefined: they are to be waited for. */
export function knownBefore(declared: Declared, port: number): Sniffed | undefined {
  switch (declared) {
    case "tcp":
      return "opaque";
    case "http":
      return "http1";
    case "http2":
      return "http2";
    case "tls":
      return undefined;
    case "unknown":
      return serverFirstPorts.has(port) ? "opaque" : undefined;
  }
}

const PREFACE = Uint8Array.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (c) => c.charCodeAt(0));
const VERSION = Uint8Array.from(" HTTP/", (c) => c.charCodeAt(0));
const CR = 13;
const LF = 10;
const SP = 32;
const HTAB = 9;
const SLASH = 0x2f;
const HANDSHAKE = 0x16;
const CLIENT_HELLO = 1;
/** RFC 8446 5.1: a record of 2^14 bytes at most; a ClientHello begins with four. */
const RECORD_BYTES_MAX = 16_384;

/** `bytes` are everything received so far; undefined: more are needed. */
export function sniff(bytes: Uint8Array): Sniffed | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes[0] === HANDSHAKE) return sniffTls(bytes);
  if (isPreface(bytes)) return bytes.length < PREFACE.length ? undefined : "http2";
  return sniffRequestLine(bytes);
}

/** Record header, then the first byte of the handshake message in it. */
function sniffTls(bytes: Uint8Array): Sniffed | undefined {
  if (bytes.length > 1 && bytes[1] !== 3) return "opaque";
  if (bytes.length > 2 && bytes[2]! > 4) return "opaque";
  if (bytes.length > 4) {
    const length = (bytes[3]! << 8) | bytes[4]!;
    if (length < 4 || length > RECORD_BYTES_MAX) return "opaque";
  }
  if (bytes.length < 6) return undefined;
  return bytes[5] === CLIENT_HELLO ? "tls" : "opaque";
}

/** The beginning of it too, as far as there is one. */
function isPreface(bytes: Uint8Array): boolean {
  const length = Math.min(bytes.length, PREFACE.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== PREFACE[i]) return false;
  return true;
}

/** RFC 9112 3: method SP target SP version, after at most one empty line (2.2). */
function sniffRequestLine(bytes: Uint8Array): Sniffed | undefined {
  let at = 0;
  if (bytes[0] === CR) {
    if (bytes.length === 1) return undefined;
    if (bytes[1] !== LF) return "opaque";
    at = 2;
  }
  const methodEnd = at + METHOD_BYTES_MAX;
  const start = at;
  while (at < bytes.length && bytes[at] !== SP) {
    if (at === methodEnd || !isTokenOctet(bytes[at]!)) return "opaque";
    at++;
  }
  if (at === bytes.length) return undefined;
  if (at === start) return "opaque";
  return sniffVersion(bytes, at + 1);
}

/** Behind the method: everything up to the end of the line, in which " HTTP/" must stand. */
function sniffVersion(bytes: Uint8Array, from: number): Sniffed | undefined {
  const to = Math.min(bytes.length, LINE_BYTES_MAX);
  let versioned = false;
  for (let at = from; at < to; at++) {
    const octet = bytes[at]!;
    if (octet === LF) return versioned ? "http1" : "opaque";
    if (octet === SP && at > from && isVersion(bytes, at)) versioned = true;
    else if (octet === CR) {
      if (at + 1 < bytes.length && bytes[at + 1] !== LF) return "opaque";
    } else if ((octet < SP && octet !== HTAB) || octet === 0x7f) return "opaque";
  }
  if (bytes.length < LINE_BYTES_MAX) return undefined;
  return bytes[from] === SLASH ? "http1" : "opaque";
}

function isVersion(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < VERSION.length; i++) if (bytes[at + i] !== VERSION[i]) return false;
  return true;
}

/** RFC 9110 5.6.2. */
function isTokenOctet(octet: number): boolean {
  return tokenOctets[octet] === 1;
}

const tokenOctets = new Uint8Array(256);
for (const c of "!#$%&'*+-.^_`|~") tokenOctets[c.charCodeAt(0)] = 1;
for (let i = 0; i < 26; i++) {
  tokenOctets[0x41 + i] = 1;
  tokenOctets[0x61 + i] = 1;
}
for (let i = 0; i < 10; i++) tokenOctets[0x30 + i] = 1;
