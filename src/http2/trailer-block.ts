/**
 * Trailers from their field block (RFC 9113 8.1), as lines of HTTP/1.1 in the arena. Names that
 * decide framing, routing, identity or how the content is read are left out (RFC 9110 6.5.1).
 */
import { copyRange } from "../core/copy-range.ts";
import { FieldId } from "../http/field-id.ts";
import { isForbiddenTrailer } from "../http/trailer-name.ts";
import { noBytes } from "./buffer-pool.ts";
import { ConnectionFault, type Fault, Malformed, Unserved } from "./fault.ts";
import type { FieldBlock } from "./field-block.ts";
import { Flaw } from "./field-kind.ts";
import { Step } from "./hpack-decoder.ts";

export class TrailerBlock {
  /** The lines: [from, to). */
  lines: Uint8Array = noBytes;
  from = 0;
  to = 0;
  readonly #block: FieldBlock;
  readonly #fieldsMax: number;

  constructor(block: FieldBlock) {
    this.#block = block;
    this.#fieldsMax = block.head.limits.fieldsMax;
  }

  decode(bytes: Uint8Array, from: number, to: number): Fault | undefined {
    const block = this.#block;
    block.begin(bytes, from, to);
    const fault = this.#read();
    if (fault === undefined) {
      this.#keep();
      return undefined;
    }
    return fault.scope === "connection" ? fault : (block.discard() ?? fault);
  }

  #read(): Fault | undefined {
    const block = this.#block;
    const { hpack } = block;
    for (let count = 0; ; count++) {
      const step = block.nextIn();
      if (step === Step.end) return undefined;
      if (step !== Step.field) return ConnectionFault.compression;
      if (!block.count()) return Unserved.tooLarge;
      if (count === this.#fieldsMax) return Unserved.tooManyFields;
      if (hpack.kind >= 128) return Malformed.pseudoUnknown;
      if (hpack.flaws !== 0) {
        return (hpack.flaws & Flaw.name) !== 0 ? Malformed.name : Malformed.value;
      }
      if (isOfConnection(hpack.kind)) return Malformed.connection;
      if (!isForbiddenTrailer(hpack.kind as FieldId)) hpack.at = hpack.lineEnd;
    }
  }

  #keep(): void {
    const { arena, hpack } = this.#block;
    const length = hpack.at;
    if (arena.at + length > arena.slab.length) arena.renew(length);
    this.lines = arena.slab;
    this.from = arena.at;
    this.to = arena.at + length;
    arena.at = this.to;
    copyRange.call(hpack.out, arena.slab, this.from, 0, length);
  }
}

/** RFC 9113 8.2.2. */
function isOfConnection(kind: number): boolean {
  return (
    kind === FieldId.connection ||
    kind === FieldId.keepAlive ||
    kind === FieldId.proxyConnection ||
    kind === FieldId.transferEncoding ||
    kind === FieldId.upgrade
  );
}
