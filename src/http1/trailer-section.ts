/**
 * Collects the trailer section of a chunked body (RFC 9112 7.1.2): the same rules as for fields of
 * a head, a limit of its own, and only lines that may be sent on are kept.
 *
 * A trailer is never merged into the head. Names that decide framing, routing, identity or how the
 * content is read may not come this late (RFC 9110 6.5.1): those lines are left out.
 */
import { fieldIdOf } from "../http/field-id.ts";
import { Ascii, Octet, octetClass } from "../http/octet.ts";
import { isForbiddenTrailer } from "../http/trailer-name.ts";

const firstBytes = 256;
const linesMax = 100;

export class TrailerSection {
  /** [0, length): kept lines, each with its CRLF. */
  lines: Uint8Array = new Uint8Array(0);
  length = 0;
  dropped = 0;
  complete = false;
  detail = "";
  readonly #bytesMax: number;
  #keeps = true;
  #lineStart = 0;
  #seen = 0;
  #count = 0;
  #afterCr = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** `keeps` false: every line is checked and left out. */
  reset(keeps: boolean): void {
    this.#keeps = keeps;
    this.length = 0;
    this.dropped = 0;
    this.complete = false;
    this.detail = "";
    this.#lineStart = 0;
    this.#seen = 0;
    this.#count = 0;
    this.#afterCr = false;
  }

  /**
   * Takes octets up to the empty line at most; returns the offset past them, or -1 where refused.
   */
  push(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    while (at < to) {
      const octet = bytes[at++]!;
      if (++this.#seen > this.#bytesMax) return this.#refuse("trailers too long");
      if (this.#afterCr) {
        if (octet !== Ascii.lf) return this.#refuse("bare CR in a trailer");
        this.#afterCr = false;
        if (this.length === this.#lineStart) {
          this.complete = true;
          return at;
        }
        if (!this.#endLine()) return -1;
      } else if (octet === Ascii.cr) this.#afterCr = true;
      else if ((octetClass[octet]! & Octet.value) === 0) {
        return this.#refuse(octet === Ascii.lf ? "bare LF in a trailer" : "control character");
      } else this.#append(octet);
    }
    return at;
  }

  #endLine(): boolean {
    const { lines } = this;
    let colon = this.#lineStart;
    while (colon < this.length && (octetClass[lines[colon]!]! & Octet.token) !== 0) colon++;
    if (colon === this.#lineStart || colon === this.length || lines[colon] !== Ascii.colon) {
      this.#refuse("malformed trailer line");
      return false;
    }
    if (++this.#count > linesMax) {
      this.#refuse("too many trailers");
      return false;
    }
    if (!this.#keeps || isForbiddenTrailer(fieldIdOf(lines, this.#lineStart, colon))) {
      this.dropped++;
      this.length = this.#lineStart;
      return true;
    }
    this.#append(Ascii.cr);
    this.#append(Ascii.lf);
    this.#lineStart = this.length;
    return true;
  }

  #append(octet: number): void {
    if (this.length === this.lines.length) {
      const grown = new Uint8Array(Math.max(firstBytes, this.lines.length * 2));
      grown.set(this.lines);
      this.lines = grown;
    }
    this.lines[this.length++] = octet;
  }

  #refuse(detail: string): number {
    this.detail = detail;
    return -1;
  }
}
