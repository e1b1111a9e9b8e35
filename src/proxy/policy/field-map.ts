/**
 * The fields of a head as a string map, by names in lower case, with what HTTP/2 has in
 * pseudo-fields. A view: one object, pointed at the head that is asked about. Several fields of one
 * name are one value, as RFC 9110 5.3 puts them together. Fields that an edge does not believe are
 * not there.
 */
import type { StringMap } from "../../attribute/value.ts";
import { FieldId, fieldIdOf, fieldName } from "../../http/field-id.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { textOf } from "./head-text.ts";

/** Keys may come from traffic: request.headers[request.path]. */
const KEYS_MAX = 512;

interface Key {
  readonly id: FieldId;
  readonly name: Uint8Array;
  /** Of the head that was read last, and what it has. */
  number: number;
  text: string | undefined;
}

export abstract class FieldMap implements StringMap {
  protected head!: MessageHead;
  #hidesDropped = false;
  #number = 0;
  readonly #keys = new Map<string, Key>();

  /**
   * `hidesDropped`: what is not forwarded was claimed by a stranger. `number`: of the head, which
   * with the same is the same, and is not read again; 0: nobody counts.
   */
  of(head: MessageHead, hidesDropped: boolean, number = 0): this {
    this.head = head;
    this.#hidesDropped = hidesDropped;
    this.#number = hidesDropped ? -number : number;
    return this;
  }

  get(name: string): string | undefined {
    if (name.charCodeAt(0) === 0x3a) return this.pseudo(name);
    const key = this.#keys.get(name) ?? this.#learn(name);
    if (this.#number !== 0 && key.number === this.#number) return key.text;
    key.text = this.#read(key);
    key.number = this.#number;
    return key.text;
  }

  #read({ id, name: octets }: Key): string | undefined {
    const { head } = this;
    let text: string | undefined;
    for (
      let i = id === FieldId.other ? head.find(octets) : head.firstOf[id]!;
      i !== -1;
      i = id === FieldId.other ? head.find(octets, i + 1) : head.nextOf(id, i)
    ) {
      if (this.#isHidden(i)) continue;
      const value = textOf(head.bytes, head.valueStart[i]!, head.valueEnd[i]!);
      text = text === undefined ? value : `${text}${id === FieldId.cookie ? "; " : ","}${value}`;
    }
    return text;
  }

  *entries(): Iterable<readonly [key: string, value: string]> {
    for (const name of this.pseudoNames) {
      const value = this.pseudo(name);
      if (value !== undefined) yield [name, value];
    }
    const { head } = this;
    const seen = new Set<string>();
    for (let i = 0; i < head.fieldCount; i++) {
      // Whose name was taken from it is not to be found.
      if (head.nameStart[i] === head.nameEnd[i]) continue;
      const id = head.fieldId[i]! as FieldId;
      const name =
        id === FieldId.other
          ? textOf(head.bytes, head.nameStart[i]!, head.nameEnd[i]!).toLowerCase()
          : fieldName(id);
      if (seen.has(name)) continue;
      seen.add(name);
      const value = this.get(name);
      if (value !== undefined) yield [name, value];
    }
  }

  protected abstract readonly pseudoNames: readonly string[];
  protected abstract pseudo(name: string): string | undefined;

  #isHidden(field: number): boolean {
    return this.#hidesDropped && this.head.dropped[field] === 1;
  }

  #learn(name: string): Key {
    const octets = new TextEncoder().encode(name.toLowerCase());
    const isToken = /^[\w!#$%&'*+\-.^`|~]+$/.test(name);
    const id = isToken ? fieldIdOf(octets, 0, octets.length) : FieldId.other;
    const key: Key = { id, name: octets, number: 0, text: undefined };
    if (this.#keys.size < KEYS_MAX) this.#keys.set(name, key);
    return key;
  }
}

export class RequestFields extends FieldMap {
  protected override readonly pseudoNames = [":authority", ":method", ":path"];

  protected override pseudo(name: string): string | undefined {
    const { head } = this;
    switch (name) {
      case ":authority":
        return authorityOf(head);
      case ":method":
        return methodOf(head);
      case ":path":
        return targetOf(head);
      default:
        return undefined;
    }
  }
}

export class ResponseFields extends FieldMap {
  protected override readonly pseudoNames = [":status"];

  protected override pseudo(name: string): string | undefined {
    return name === ":status" ? String(this.head.status) : undefined;
  }
}

/** Host and port as the client wrote them; undefined: it named none. */
export function authorityOf(head: MessageHead): string | undefined {
  const { authorityStart: from, authorityEnd: to } = head;
  return from === -1 ? undefined : textOf(head.bytes, from, to);
}

export function methodOf({ bytes, start, methodEnd }: MessageHead): string {
  return textOf(bytes, start, methodEnd);
}

/** Path and query. */
export function targetOf({ bytes, pathStart, pathEnd, queryEnd }: MessageHead): string {
  if (pathStart === pathEnd && queryEnd === -1) return "/";
  return textOf(bytes, pathStart, Math.max(pathEnd, queryEnd));
}

/** Of the first field with this id; undefined: there is none. */
export function fieldOf(head: MessageHead, id: FieldId): string | undefined {
  const field = head.firstOf[id]!;
  if (field === -1) return undefined;
  return textOf(head.bytes, head.valueStart[field]!, head.valueEnd[field]!);
}
