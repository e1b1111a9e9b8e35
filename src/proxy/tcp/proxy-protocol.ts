/**
 * The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): what a load balancer says
 * before the first byte of a connection about who is at its other end.
 *
 *   bytes ─▶ header, with the number of bytes it took │ incomplete │ bad, with the reason
 *
 * Strict: a header that two readers could take differently is bad, and so is one that is longer
 * than the bound. Only a listener that is told to expect it may read it: it says who the client is.
 */
import { isIPv4, isIPv6 } from "../../http/ip-literal.ts";
import { encodeSocketAddress, formatIpv6, type SocketAddress } from "../../io/socket-address.ts";
import { crc32c } from "./crc32c.ts";

export interface ProxyTlv {
  /** 1: ALPN, 2: authority, 5: unique id, 0x20: TLS, 0x30: network namespace, … */
  readonly type: number;
  readonly value: Uint8Array;
}

/** "none": the sender does not know, or speaks for itself; "unix": paths, and ports of 0. */
export type ProxyFamily = "ip4" | "ip6" | "unix" | "none";

export interface ProxyHeader {
  readonly version: 1 | 2;
  /** A connection of the sender's own, as for a health check: the socket's addresses count. */
  readonly local: boolean;
  readonly family: ProxyFamily;
  readonly source: SocketAddress;
  readonly destination: SocketAddress;
  /** In order, without padding and checksum, which was right. */
  readonly tlvs: readonly ProxyTlv[];
}

export type ProxyHeaderResult =
  | { readonly at: "header"; readonly header: ProxyHeader; readonly length: number }
  | { readonly at: "incomplete" }
  | { readonly at: "bad"; readonly why: string };

/** Of version 2, the fixed part included; a client certificate fits. */
export const PROXY_HEADER_BYTES_MAX = 16_384;

const V1_BYTES_MAX = 107;
const V1_START = ascii("PROXY ");
const V2_START = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10);
const V2_FIXED_BYTES = 16;
const CR = 13;
const LF = 10;

const nowhere: SocketAddress = { address: "", port: 0 };
const incomplete: ProxyHeaderResult = { at: "incomplete" };

/** How the low nibble's transport and the high nibble's family are laid out; bytes of addresses. */
const families: ReadonlyMap<number, readonly [ProxyFamily, bytes: number]> = new Map([
  [0x00, ["none", 0]],
  [0x11, ["ip4", 12]],
  [0x12, ["ip4", 12]],
  [0x21, ["ip6", 36]],
  [0x22, ["ip6", 36]],
  [0x31, ["unix", 216]],
  [0x32, ["unix", 216]],
]);

const TLV_CRC32C = 0x03;
const TLV_NOOP = 0x04;

/** Whether the connection may begin with a header, as far as the first bytes go. */
export function mayBeProxyHeader(bytes: Uint8Array): boolean {
  return isPrefix(bytes, V1_START) || isPrefix(bytes, V2_START);
}

/** `bytes` begin where the connection begins; what follows the header is not looked at. */
export function decodeProxyHeader(bytes: Uint8Array): ProxyHeaderResult {
  if (isPrefix(bytes, V2_START))
    return bytes.length < V2_FIXED_BYTES ? incomplete : decodeV2(bytes);
  if (isPrefix(bytes, V1_START)) return decodeV1(bytes);
  return bad("does not begin with a PROXY protocol header");
}

function decodeV1(bytes: Uint8Array): ProxyHeaderResult {
  const limit = Math.min(bytes.length, V1_BYTES_MAX);
  for (let at = V1_START.length; at < limit; at++) {
    if (bytes[at] === LF) return bad("has a bare LF");
    if (bytes[at] !== CR) continue;
    if (at + 1 === V1_BYTES_MAX) break;
    if (at + 1 === bytes.length) return incomplete;
    if (bytes[at + 1] !== LF) return bad("has a bare CR");
    return readLine(Buffer.from(bytes.subarray(0, at)).toString("latin1"), at + 2);
  }
  return limit < V1_BYTES_MAX ? incomplete : bad(`is longer than ${V1_BYTES_MAX} bytes`);
}

function readLine(line: string, length: number): ProxyHeaderResult {
  if (/^PROXY UNKNOWN(?: |$)/.test(line))
    return found({ version: 1, family: "none", source: nowhere, destination: nowhere }, length);
  const parts = line.split(" ");
  const [, protocol, from = "", to = "", fromPort = "", toPort = ""] = parts;
  const isAddress = protocol === "TCP4" ? isIPv4 : protocol === "TCP6" ? isPlainIpv6 : undefined;
  if (isAddress === undefined) return bad("has a protocol other than TCP4, TCP6 and UNKNOWN");
  if (parts.length !== 6) return bad("has not two addresses and two ports");
  if (!isAddress(from) || !isAddress(to)) return bad(`has an address that is none of ${protocol}`);
  if (!isPort(fromPort) || !isPort(toPort)) return bad("has a port that is none");
  const family = protocol === "TCP4" ? "ip4" : "ip6";
  const source = { address: canonical(from), port: Number(fromPort) };
  const destination = { address: canonical(to), port: Number(toPort) };
  return found({ version: 1, family, source, destination }, length);
}

/** No zone, no brackets: those are not for the wire. */
function isPlainIpv6(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

function canonical(address: string): string {
  const encoded = encodeSocketAddress(address, 0);
  return encoded?.length === 28 ? formatIpv6(encoded.subarray(8, 24)) : address;
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function decodeV2(bytes: Uint8Array): ProxyHeaderResult {
  const versionAndCommand = bytes[12]!;
  if (versionAndCommand >> 4 !== 2) return bad("has a version other than 2");
  const command = versionAndCommand & 15;
  if (command > 1) return bad("has a command other than LOCAL and PROXY");
  const length = V2_FIXED_BYTES + (bytes[14]! << 8) + bytes[15]!;
  if (length > PROXY_HEADER_BYTES_MAX) return bad(`is longer than ${PROXY_HEADER_BYTES_MAX} bytes`);
  if (bytes.length < length) return incomplete;
  const layout = families.get(bytes[13]!);
  const local = command === 0;
  // What a LOCAL connection says of addresses is to be skipped, whatever it is.
  if (local) return found({ version: 2, local, ...unknown }, length);
  if (layout === undefined) return bad("has an address family that is not defined");
  const [family, size] = layout;
  if (length < V2_FIXED_BYTES + size) return bad("is too short for its addresses");
  const tlvs = decodeTlvs(bytes.subarray(0, length), V2_FIXED_BYTES + size);
  if (typeof tlvs === "string") return bad(tlvs);
  const block = bytes.subarray(V2_FIXED_BYTES, V2_FIXED_BYTES + size);
  return found({ version: 2, family, ...addressesOf(family, block), tlvs }, length);
}

const unknown = { family: "none", source: nowhere, destination: nowhere } as const;

function addressesOf(
  family: ProxyFamily,
  block: Uint8Array,
): Pick<ProxyHeader, "source" | "destination"> {
  if (family === "none") return { source: nowhere, destination: nowhere };
  if (family === "unix") {
    const path = (from: number): SocketAddress => ({ address: pathOf(block, from), port: 0 });
    return { source: path(0), destination: path(108) };
  }
  const width = family === "ip4" ? 4 : 16;
  const text = (from: number): string => {
    const octets = block.subarray(from, from + width);
    return family === "ip4" ? octets.join(".") : formatIpv6(octets);
  };
  const port = (at: number): number => (block[at]! << 8) | block[at + 1]!;
  return {
    source: { address: text(0), port: port(2 * width) },
    destination: { address: text(width), port: port(2 * width + 2) },
  };
}

/** Up to the first NUL; an abstract name begins with one, which is written "@". */
function pathOf(block: Uint8Array, from: number): string {
  const octets = Buffer.from(block.subarray(from, from + 108));
  const abstract = octets[0] === 0 && octets[1] !== 0;
  const rest = abstract ? octets.subarray(1) : octets;
  const end = rest.indexOf(0);
  const text = rest.subarray(0, end === -1 ? rest.length : end).toString("latin1");
  return abstract ? `@${text}` : text;
}

/** A string says what is wrong. */
function decodeTlvs(header: Uint8Array, from: number): ProxyTlv[] | string {
  const tlvs: ProxyTlv[] = [];
  for (let at = from; at < header.length; ) {
    if (header.length - at < 3) return "ends within a TLV";
    const type = header[at]!;
    const start = at + 3;
    const end = start + (header[at + 1]! << 8) + header[at + 2]!;
    if (end > header.length) return "ends within a TLV";
    if (type === TLV_CRC32C) {
      if (end - start !== 4) return "has a checksum that is not four bytes long";
      if (!isChecksum(header, start)) return "has a checksum that does not fit";
    } else if (type !== TLV_NOOP)
      tlvs.push({ type, value: new Uint8Array(header.subarray(start, end)) });
    at = end;
  }
  return tlvs;
}

/** Over the whole header, with the checksum itself taken as zeros. */
function isChecksum(header: Uint8Array, at: number): boolean {
  const zeroed = new Uint8Array(header);
  zeroed.fill(0, at, at + 4);
  return new DataView(header.buffer, header.byteOffset).getUint32(at) === crc32c(zeroed);
}

function found(
  part: Omit<ProxyHeader, "tlvs" | "local"> & Partial<ProxyHeader>,
  length: number,
): ProxyHeaderResult {
  return { at: "header", header: { local: false, tlvs: [], ...part }, length };
}

function bad(why: string): ProxyHeaderResult {
  return { at: "bad", why };
}

/** As far as both go, they are the same. */
function isPrefix(bytes: Uint8Array, start: Uint8Array): boolean {
  const length = Math.min(bytes.length, start.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== start[i]) return false;
  return true;
}

/** What is to be sent first on a connection that is made for `source`; "UNKNOWN" without one. */
export function encodeProxyV1(
  source: SocketAddress | undefined,
  destination: SocketAddress | undefined,
): Uint8Array {
  if (source === undefined || destination === undefined) return ascii("PROXY UNKNOWN\r\n");
  const four = isIPv4(source.address) && isIPv4(destination.address);
  const known = four || (isEncodable(source) && isEncodable(destination));
  if (!known) return ascii("PROXY UNKNOWN\r\n");
  const text = ({ address }: SocketAddress): string =>
    !four && isIPv4(address) ? `::ffff:${address}` : address;
  const addresses = `${text(source)} ${text(destination)}`;
  return ascii(`PROXY TCP${four ? 4 : 6} ${addresses} ${source.port} ${destination.port}\r\n`);
}

/** The same as version 2; LOCAL without a source. TLVs: 15 KiB at most, all together. */
export function encodeProxyV2(
  source: SocketAddress | undefined,
  destination: SocketAddress | undefined,
  tlvs: readonly ProxyTlv[] = [],
): Uint8Array {
  const known = source !== undefined && destination !== undefined;
  if (!known) return framed(0, 0, []);
  if (!isEncodable(source) || !isEncodable(destination)) return framed(1, 0, tlvParts(tlvs));
  const four = isIPv4(source.address) && isIPv4(destination.address);
  const parts = [source, destination].map(({ address }) => octetsOf(address, four));
  const ports = Uint8Array.of(...twoOctets(source.port), ...twoOctets(destination.port));
  return framed(1, four ? 0x11 : 0x21, [...parts, ports, ...tlvParts(tlvs)]);
}

function isEncodable({ address }: SocketAddress): boolean {
  return encodeSocketAddress(address, 0) !== undefined;
}

function octetsOf(address: string, four: boolean): Uint8Array {
  const plain = isIPv4(address) && !four ? `::ffff:${address}` : address;
  const encoded = encodeSocketAddress(plain, 0)!;
  return four ? encoded.subarray(4, 8) : encoded.subarray(8, 24);
}

function tlvParts(tlvs: readonly ProxyTlv[]): Uint8Array[] {
  return tlvs.flatMap(({ type, value }) => [
    Uint8Array.of(type, ...twoOctets(value.length)),
    value,
  ]);
}

function framed(command: number, family: number, parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const fixed = Uint8Array.of(...V2_START, 0x20 | command, family, ...twoOctets(length));
  return Buffer.concat([fixed, ...parts]);
}

function twoOctets(value: number): [number, number] {
  return [value >> 8, value & 0xff];
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
