/**
 * Writes where a request goes on to: its rewritten target, or the Location of a redirect. One is
 * made per worker, with an output of its own; what it wrote is `out[0, length)` until the next.
 */
import type { MessageHead } from "../../http/message-head.ts";
import { encode } from "./byte-range.ts";
import type { Redirect, Rewrite } from "./route.ts";

const SLASH = 0x2f;
const QUESTION = 0x3f;
const AMPERSAND = 0x26;
const http = encode("http://");
const https = encode("https://");

export class TargetWriter {
  readonly out: Uint8Array;
  #at = 0;

  /** What is longer than `bytesMax` is not written. */
  constructor(bytesMax: number) {
    this.out = new Uint8Array(bytesMax);
  }

  /**
   * Path and query as the upstream gets them; the query is kept, behind one that the rewrite has.
   * "/" in place of a prefix does not make "//", nor does "/new" in place of "/" make "/newold".
   * Returns the length, -1: too long.
   */
  target({ uri, prefixBytes }: Rewrite, head: MessageHead): number {
    this.#at = 0;
    if (uri === undefined) this.#pathAndQuery(head);
    else {
      this.#all(uri);
      const rest = head.pathStart + prefixBytes;
      const root = prefixBytes === 0 && head.pathEnd === rest + 1;
      if (prefixBytes >= 0 && rest < head.pathEnd && !root) {
        const doubled = uri[uri.length - 1] === SLASH && head.bytes[rest] === SLASH;
        this.#range(head.bytes, doubled ? rest + 1 : rest, head.pathEnd);
      }
      this.#query(head, uri.includes(QUESTION) ? AMPERSAND : QUESTION);
    }
    return this.#length();
  }

  /**
   * The value of Location, absolute where the authority is known. A path that is given replaces the
   * whole path; it replaces the query only if it has one. Returns the length, -1: too long.
   */
  location({ uri, authority }: Redirect, head: MessageHead, secure: boolean): number {
    this.#at = 0;
    if (authority !== undefined || head.authorityStart >= 0) {
      this.#all(secure || head.schemeIsHttps ? https : http);
      if (authority !== undefined) this.#all(authority);
      else this.#range(head.bytes, head.authorityStart, head.authorityEnd);
    }
    if (uri === undefined) this.#pathAndQuery(head);
    else {
      this.#all(uri);
      if (!uri.includes(QUESTION)) this.#query(head, QUESTION);
    }
    return this.#length();
  }

  #pathAndQuery(head: MessageHead): void {
    if (head.pathEnd > head.pathStart) this.#range(head.bytes, head.pathStart, head.pathEnd);
    else this.#octet(SLASH);
    this.#query(head, QUESTION);
  }

  #query(head: MessageHead, separator: number): void {
    if (head.queryStart < 0) return;
    this.#octet(separator);
    this.#range(head.bytes, head.queryStart, head.queryEnd);
  }

  #all(bytes: Uint8Array): void {
    this.#range(bytes, 0, bytes.length);
  }

  #octet(octet: number): void {
    if (this.#at < this.out.length) this.out[this.#at] = octet;
    this.#at++;
  }

  /** Past the end of the output it only counts. */
  #range(bytes: Uint8Array, from: number, to: number): void {
    if (this.#at + to - from <= this.out.length)
      for (let i = from, at = this.#at; i < to; i++, at++) this.out[at] = bytes[i]!;
    this.#at += to - from;
  }

  #length(): number {
    return this.#at <= this.out.length ? this.#at : -1;
  }
}
