/**
 * Lines that the snapshot holds ready for HTTP/1.1, as parts of field blocks. Each array is encoded
 * when it first comes and remembered by its identity, so it must never change; a few are kept, and
 * the oldest gives way.
 */
import { FieldId, fieldIdOf } from "../http/field-id.ts";
import { Ascii } from "../http/octet.ts";
import { BufferPool, noBytes } from "./buffer-pool.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { OutputBuffer } from "./output-buffer.ts";

const rememberedMax = 16;
/** Used for literals alone, which leave no trace in it. */
const out = new OutputBuffer(new BufferPool());
const encoder = new HpackEncoder(out);

export class PreparedLines {
  readonly #lines: (Uint8Array | undefined)[] = new Array<undefined>(rememberedMax).fill(undefined);
  readonly #blocks: Uint8Array[] = [];
  #next = 0;

  /** The lines as literals without indexing, which need no table. */
  blockOf(lines: Uint8Array): Uint8Array {
    const at = this.#lines.indexOf(lines);
    if (at !== -1) return this.#blocks[at]!;
    const block = encodeLines(lines, 0, lines.length);
    this.#lines[this.#next] = lines;
    this.#blocks[this.#next] = block;
    this.#next = (this.#next + 1) % rememberedMax;
    return block;
  }
}

/** As `writeLines`, as an array of its own. */
function encodeLines(lines: Uint8Array, from: number, to: number): Uint8Array {
  const { bytes, start, end } = writeLines(lines, from, to);
  return bytes.slice(start, end);
}

/**
 * Lines of HTTP/1.1 in [from, to) as literals; what is of one connection is left out. They are the
 * whole output, which holds good until the next call.
 */
export function writeLines(lines: Uint8Array, from: number, to: number): OutputBuffer {
  out.taken(out.length);
  putLines(encoder, lines, from, to);
  encoder.bytes = noBytes;
  return out;
}

/** The same, straight into the output of an encoder. */
export function putLines(encoder: HpackEncoder, lines: Uint8Array, from: number, to: number): void {
  encoder.bytes = lines;
  let at = from;
  while (at < to) {
    encoder.nameStart = at;
    while (at < to && lines[at] !== Ascii.colon) at++;
    encoder.nameEnd = at++;
    while (at < to && (lines[at] === Ascii.space || lines[at] === Ascii.tab)) at++;
    encoder.valueStart = at;
    while (at < to && lines[at] !== Ascii.lf) at++;
    encoder.valueEnd = at++ - 1;
    trimEnd(encoder);
    encoder.kind = fieldIdOf(lines, encoder.nameStart, encoder.nameEnd);
    if (!isHopByHop(encoder.kind)) encoder.literal(isSecret(encoder.kind) ? 0x10 : 0, 15);
  }
}

function trimEnd(encoder: HpackEncoder): void {
  const { bytes } = encoder;
  for (;;) {
    const last = bytes[encoder.valueEnd - 1]!;
    const blank = last === Ascii.space || last === Ascii.tab;
    if (encoder.valueEnd <= encoder.valueStart || !blank) return;
    encoder.valueEnd--;
  }
}

function isSecret(kind: number): boolean {
  return kind === FieldId.authorization || kind === FieldId.cookie || kind === FieldId.setCookie;
}

/** Fields that no message of HTTP/2 has (RFC 9113 8.2.2); Host is :authority there. */
export function isHopByHop(kind: number): boolean {
  switch (kind) {
    case FieldId.host:
    case FieldId.transferEncoding:
    case FieldId.connection:
    case FieldId.keepAlive:
    case FieldId.proxyConnection:
    case FieldId.te:
    case FieldId.upgrade:
    case FieldId.http2Settings:
      return true;
    default:
      return false;
  }
}
