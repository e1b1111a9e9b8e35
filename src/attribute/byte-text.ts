/**
 * Text whose bytes count. Attributes are UTF-8 on the wire and in Go, where a string may hold any
 * bytes at all; here a byte that is not part of valid UTF-8 is kept as U+DC00 + byte (U+DC80 to
 * U+DCFF, which no valid text has alone), so text and bytes turn into each other without loss.
 */

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function textOfBytes(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return textOfDamaged(bytes);
  }
}

function textOfDamaged(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    text +=
      length === 0
        ? String.fromCharCode(0xdc00 + bytes[at]!)
        : strict.decode(bytes.subarray(at, at + length));
    at += Math.max(1, length);
  }
  return text;
}

/** Of the valid UTF-8 sequence that begins at `at`; 0 where none does (RFC 3629 4). */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  if (lead < 0x80) return 1;
  const length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  for (let i = 1; i < length; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1] ?? 0;
  const overlong = (lead === 0xe0 && second < 0xa0) || (lead === 0xf0 && second < 0x90);
  const outside = (lead === 0xed && second > 0x9f) || (lead === 0xf4 && second > 0x8f);
  return overlong || outside ? 0 : length;
}

export function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; ) {
    const length = bytes[at]! < 0x80 ? 1 : sequenceLength(bytes, at);
    if (length === 0 || length > end - at) return false;
    at += length;
  }
  return true;
}

/** How many bytes the text is on the wire. */
export function byteLength(text: string): number {
  let length = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    if (unit < 0x800) length += 1;
    else if (isLeadOfPair(text, at)) {
      length += 2;
      at++;
    } else if (!isLoneByte(unit)) length += 2;
  }
  return length;
}

/** Negative, 0 or positive, by bytes: `<` goes by code units, which differ above U+D7FF. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const x = a.charCodeAt(at);
    const y = b.charCodeAt(at);
    if (x !== y) return x < 0xd800 && y < 0xd800 ? x - y : compareHigh(a, b, at);
  }
  return a.length - b.length;
}

/** From the first unit that differs, one of which is a surrogate or above them. */
function compareHigh(a: string, b: string, at: number): number {
  const from = at > 0 && isLeadOfPair(a, at - 1) && isLeadOfPair(b, at - 1) ? at - 1 : at;
  return bytePoint(a, from) - bytePoint(b, from);
}

/** A number that orders like the bytes at `at` do. */
function bytePoint(text: string, at: number): number {
  const point = text.codePointAt(at)!;
  if (!isLoneByte(point)) return point;
  const byte = point - 0xdc00;
  if (byte < 0xc2) return 0x7f + (byte - 0x7f) / 0x100;
  if (byte < 0xe0) return ((byte & 0x1f) << 6) - 0.5;
  if (byte < 0xf0) return Math.max(0x800, (byte & 0x0f) << 12) - 0.5;
  return byte < 0xf5 ? Math.max(0x10000, (byte & 0x07) << 18) - 0.5 : 0x110000 + byte;
}

function isLoneByte(unit: number): boolean {
  return unit >= 0xdc80 && unit <= 0xdcff;
}

function isLeadOfPair(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
}

const utf8 = new TextEncoder();

export function bytesOfText(text: string): Uint8Array {
  if (text.isWellFormed()) return utf8.encode(text);
  const bytes: number[] = [];
  for (const character of text) {
    const point = character.codePointAt(0)!;
    if (isLoneByte(point)) bytes.push(point - 0xdc00);
    else bytes.push(...utf8.encode(character));
  }
  return Uint8Array.from(bytes);
}
