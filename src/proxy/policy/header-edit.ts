/**
 * What rules change in the fields of a message, put together: for each name whether the fields that
 * are there go, and which come. Names and values that would let two readers see two messages are
 * left out, as a value without text is; what was there goes all the same.
 */
import { bytesOfText } from "../../attribute/byte-text.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { checkAppendedName, checkAuthority, checkPath } from "../../model/validate-http.ts";
import type { HeaderChange } from "../../policy/verdict.ts";
import { findAlike, isAlike } from "./alike-field.ts";

interface Edit {
  readonly name: Uint8Array;
  drops: boolean;
  values: string[];
}

const encoder = new TextEncoder();
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;

export class HeaderEdits {
  readonly #edits = new Map<string, Edit>();
  /** Path and query instead of those received; "": as received. */
  path = "";
  authority = "";

  add(changes: readonly HeaderChange[]): this {
    for (const change of changes) this.#add(change);
    return this;
  }

  get isEmpty(): boolean {
    return this.#edits.size === 0 && this.path === "" && this.authority === "";
  }

  /** Fields that are to go; the head then holds what else was there. */
  drop(head: MessageHead): void {
    for (const { name, drops } of this.#edits.values()) {
      if (!drops) continue;
      for (let i = findAlike(head, name); i !== -1; i = findAlike(head, name, i + 1))
        head.dropped[i] = 1;
    }
  }

  /** Whether a field of `head` is to go. */
  drops(head: MessageHead, field: number): boolean {
    for (const { name, drops } of this.#edits.values())
      if (drops && isAlike(head, field, name)) return true;
    return false;
  }

  /** Whether a field comes under that name, which is in lower case. */
  sets(name: string): boolean {
    return (this.#edits.get(name)?.values.length ?? 0) > 0;
  }

  /** Whole lines that come. */
  get lines(): Uint8Array {
    let lines = "";
    for (const [name, { values }] of this.#edits)
      for (const value of values) lines += `${name}: ${value}\r\n`;
    return bytesOfText(lines);
  }

  #add({ name: written, value, operation }: HeaderChange): void {
    const name = written.toLowerCase();
    const text = value.trim();
    if (name.startsWith(":") || name === "host") return this.#pseudo(name, text, operation);
    const isSound = !CONTROL.test(text);
    if (checkAppendedName(name) !== undefined || (operation === "append" && !isSound)) return;
    const edit = this.#edits.get(name) ?? { name: encoder.encode(name), drops: false, values: [] };
    this.#edits.set(name, edit);
    if (operation === "append") edit.values.push(text);
    else {
      // Whatever else comes, it is not what the sender had there.
      edit.drops = true;
      edit.values = operation === "replace" && isSound ? [text] : [];
    }
  }

  /** A request's; others cannot be changed, nor be left out. */
  #pseudo(name: string, text: string, operation: HeaderChange["operation"]): void {
    if (operation !== "replace") return;
    if (name === ":path" && text.startsWith("/") && checkPath(text) === undefined) this.path = text;
    if ((name === ":authority" || name === "host") && text !== "")
      if (checkAuthority(text) === undefined) this.authority = text;
  }
}
