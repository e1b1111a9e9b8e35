/**
 * The first message of a TLS client, read before anything answers it: the server's certificate is
 * chosen by the name in it (RFC 8446 4.1.2, 5.1; RFC 6066 3; RFC 7301 3.1). Pure: bytes in, facts
 * out. It also tells TLS from everything else by the first six bytes.
 *
 *   reading ──▶ complete
 *      └──────▶ not-tls | malformed | too-long        a verdict is final
 *
 * The bytes are kept as they came, to be given to the TLS library afterwards.
 */
import { isHostName } from "./host-name.ts";

export interface ClientHello {
  /** Host syntax in lower case, fit for a log; "": the client named no server. */
  readonly serverName: string;
  /** ALPN, in the client's order; those that are not printable ASCII left out. */
  readonly protocols: readonly string[];
  /** The highest version offered, of those that exist: 0x0303 is TLS 1.2, 0x0304 is 1.3. */
  readonly version: number;
}

export type HelloProgress = "reading" | "complete" | "not-tls" | "malformed" | "too-long";

/** Of the message. Clients send 200 to 2,000 bytes. */
const MESSAGE_BYTES_MAX = 16_384;
/** Of all that was received before it was complete: records may be as small as one byte. */
const WIRE_BYTES_MAX = 32_768;
const RECORD_HEADER_BYTES = 5;
const RECORD_BYTES_MAX = 16_384;
const MESSAGE_HEADER_BYTES = 4;
/** ContentType handshake, HandshakeType client_hello. */
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;

export class ClientHelloReader {
  #wire: Uint8Array = new Uint8Array(0);
  #length = 0;
  /** Where in #wire the next record begins. */
  #at = 0;
  /** The message, when it came in more than one record; its length is known from its first four. */
  #message: Uint8Array | undefined = undefined;
  #messageLength = 0;
  #progress: HelloProgress = "reading";
  #hello: ClientHello | undefined = undefined;

  get progress(): HelloProgress {
    return this.#progress;
  }

  /** Once complete. */
  get hello(): ClientHello | undefined {
    return this.#hello;
  }

  /** All that was pushed, in one piece. */
  get bytes(): Uint8Array {
    return this.#wire.subarray(0, this.#length);
  }

  /** Keeps `bytes`; call it no more once the verdict is out. */
  push(bytes: Uint8Array): HelloProgress {
    this.#append(bytes);
    this.#progress = this.#read();
    if (this.#progress === "reading" && this.#length > WIRE_BYTES_MAX) this.#progress = "too-long";
    return this.#progress;
  }

  #append(bytes: Uint8Array): void {
    if (this.#length === 0) {
      this.#wire = bytes;
      this.#length = bytes.length;
      return;
    }
    const length = this.#length + bytes.length;
    if (length > this.#wire.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#wire.length, 512));
      larger.set(this.bytes);
      this.#wire = larger;
    }
    this.#wire.set(bytes, this.#length);
    this.#length = length;
  }

  #read(): HelloProgress {
    const wire = this.#wire;
    if (this.#at === 0 && !mayBegin(wire, this.#length)) return "not-tls";
    for (;;) {
      const from = this.#at + RECORD_HEADER_BYTES;
      if (from > this.#length) return "reading";
      const length = (wire[from - 2]! << 8) | wire[from - 1]!;
      const isRecord = wire[this.#at] === HANDSHAKE && wire[this.#at + 1] === 3;
      if (!isRecord || length === 0 || length > RECORD_BYTES_MAX) return "malformed";
      if (from + length > this.#length) return "reading";
      this.#at = from + length;
      const progress = this.#readRecord(from, from + length);
      if (progress !== "reading") return progress;
    }
  }

  #readRecord(from: number, to: number): HelloProgress {
    const wire = this.#wire;
    if (this.#message === undefined && to - from >= MESSAGE_HEADER_BYTES) {
      const length = messageLength(wire, from);
      if (length > MESSAGE_BYTES_MAX) return "too-long";
      if (to - from === length) return this.#complete(wire.subarray(from, to));
    }
    this.#message ??= new Uint8Array(MESSAGE_BYTES_MAX);
    const before = this.#messageLength;
    const after = before + to - from;
    if (after > MESSAGE_BYTES_MAX) return "too-long";
    this.#message.set(wire.subarray(from, to), before);
    this.#messageLength = after;
    if (after < MESSAGE_HEADER_BYTES) return "reading";
    const length = messageLength(this.#message, 0);
    if (length > MESSAGE_BYTES_MAX) return "too-long";
    if (after < length) return "reading";
    // More than the message in its last record: nothing may follow before we answered.
    return after > length ? "malformed" : this.#complete(this.#message.subarray(0, length));
  }

  #complete(message: Uint8Array): HelloProgress {
    this.#message = undefined;
    this.#hello = decodeClientHello(message);
    return this.#hello === undefined ? "malformed" : "complete";
  }
}

/** Whether `length` bytes, at most six of which are looked at, can be the beginning of TLS. */
export function mayBegin(bytes: Uint8Array, length: number): boolean {
  if (length > 0 && bytes[0] !== HANDSHAKE) return false;
  if (length > 1 && bytes[1] !== 3) return false;
  if (length > 2 && bytes[2]! > 4) return false;
  if (length > 3 && bytes[3]! > RECORD_BYTES_MAX >> 8) return false;
  return length <= RECORD_HEADER_BYTES || bytes[RECORD_HEADER_BYTES] === CLIENT_HELLO;
}

/** With its header; `at` is the message's first byte. */
function messageLength(bytes: Uint8Array, at: number): number {
  const length = (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  return MESSAGE_HEADER_BYTES + length;
}

/** A presentation-language vector or structure being read; `failed` is sticky (RFC 8446 3). */
class Block {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;
  failed = false;

  constructor(bytes: Uint8Array, from: number, end: number) {
    this.bytes = bytes;
    this.at = from;
    this.end = end;
  }

  /** Anything left to read. */
  get more(): boolean {
    return !this.failed && this.at < this.end;
  }

  /** Read to its end, and nothing was wrong. */
  get spent(): boolean {
    return !this.failed && this.at === this.end;
  }

  number(size: 1 | 2): number {
    const at = this.at;
    this.skip(size);
    if (this.failed) return 0;
    return size === 1 ? this.bytes[at]! : (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  skip(length: number): void {
    if (this.at + length > this.end) this.failed = true;
    else this.at += length;
  }

  /** A vector<min..max> whose length is a number of `size` bytes. */
  vector(size: 1 | 2, min: number, max: number): Block {
    const length = this.number(size);
    const from = this.at;
    if (length < min || length > max) this.failed = true;
    this.skip(length);
    return new Block(this.bytes, from, this.failed ? from : from + length);
  }
}

interface Found {
  serverName: string;
  protocols: string[];
  version: number;
}

/** Undefined: malformed. `message` is whole, header included. */
function decodeClientHello(message: Uint8Array): ClientHello | undefined {
  const body = new Block(message, MESSAGE_HEADER_BYTES, message.length);
  const legacyVersion = body.number(2);
  body.skip(32); // random
  body.vector(1, 0, 32); // legacy_session_id
  const ciphers = body.vector(2, 2, 0xfffe);
  body.vector(1, 1, 255); // legacy_compression_methods
  if (body.failed || legacyVersion >> 8 !== 3 || (ciphers.end - ciphers.at) % 2 !== 0)
    return undefined;
  const found: Found = { serverName: "", protocols: [], version: legacyVersion };
  // A client of TLS 1.2 or before may send no extensions at all.
  if (body.spent) return found;
  const extensions = body.vector(2, 0, 0xffff);
  if (!body.spent) return undefined;
  const seen = new Set<number>();
  while (extensions.more) {
    const type = extensions.number(2);
    const data = extensions.vector(2, 0, 0xffff);
    if (extensions.failed || seen.has(type) || !readExtension(type, data, found)) return undefined;
    seen.add(type);
  }
  return extensions.spent ? found : undefined;
}

const SERVER_NAME = 0;
const ALPN = 16;
const SUPPORTED_VERSIONS = 43;

/** False: malformed. */
function readExtension(type: number, data: Block, found: Found): boolean {
  if (type === SERVER_NAME) return readServerName(data, found);
  if (type === ALPN) return readProtocols(data, found);
  if (type === SUPPORTED_VERSIONS) return readVersions(data, found);
  return true;
}

/** ServerNameList (RFC 6066 3); one name of the only type that was ever defined. */
function readServerName(data: Block, found: Found): boolean {
  const list = data.vector(2, 1, 0xffff);
  if (!data.spent || list.number(1) !== 0) return false;
  const octets = list.vector(2, 1, 0xffff);
  if (!list.spent) return false;
  const name = text(octets).toLowerCase();
  if (!isHostName(name)) return false;
  found.serverName = name;
  return true;
}

/** ProtocolNameList (RFC 7301 3.1). */
function readProtocols(data: Block, found: Found): boolean {
  const list = data.vector(2, 2, 0xffff);
  if (!data.spent) return false;
  while (list.more) {
    const name = list.vector(1, 1, 255);
    if (!list.failed && isPrintable(name)) found.protocols.push(text(name));
  }
  return list.spent;
}

/** Of versions that we do not know the highest is not of interest: clients send them as GREASE. */
function readVersions(data: Block, found: Found): boolean {
  const list = data.vector(1, 2, 254);
  if (!data.spent) return false;
  found.version = 0;
  while (list.more) {
    const version = list.number(2);
    if (version >= 0x0300 && version <= 0x0304) found.version = Math.max(found.version, version);
  }
  return list.spent;
}

function isPrintable({ bytes, at, end }: Block): boolean {
  for (let i = at; i < end; i++) if (bytes[i]! <= 0x20 || bytes[i]! >= 0x7f) return false;
  return true;
}

function text({ bytes, at, end }: Block): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString("latin1");
}
