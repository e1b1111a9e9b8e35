/**
 * What an answer of the mixer depends on: which attributes have to be there, which must not, and
 * the key that their values make. Requests with one key get one answer. Spec table: mixer 1.3, 2.1.
 *
 *   ReferencedAttributes ──shapeOf(message, request)──▶ ReferencedShape ──keyOf(bag)──▶ text
 *
 * A map's key is a number on the wire, and 0 is a word like any other: whether one is meant is told
 * only by the request that was answered, which has the map or does not.
 */
import {
  ReferencedAttributes_Condition as Condition,
  type ReferencedAttributes,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import type { AttributeBag, Reading } from "../../attribute/bag.ts";
import { Fault } from "../../attribute/fault.ts";
import { globalWords } from "../../attribute/global-dictionary.ts";
import { shortestIpAddress } from "../../attribute/ip-address.ts";
import type { StringMap, Timestamp, Value, ValueType } from "../../attribute/value.ts";
import type { Vocabulary } from "../../attribute/vocabulary.ts";
import { wordAt } from "../../attribute/word-list.ts";

interface Part {
  readonly name: string;
  readonly slot: number;
  readonly type: ValueType;
  readonly isAbsent: boolean;
  readonly mapKey: string | undefined;
}

/** More of them no answer has a good reason for. */
const PARTS_MAX = 512;

export class ReferencedShape {
  /** Tells shapes apart. */
  readonly signature: string;
  readonly #parts: readonly Part[];

  constructor(parts: readonly Part[]) {
    const sorted = [...new Map(parts.map((part) => [partText(part), part]))].sort(([a], [b]) =>
      a < b ? -1 : 1,
    );
    this.signature = JSON.stringify(sorted.map(([text]) => text));
    this.#parts = sorted.map(([, part]) => part);
  }

  /** Undefined: the request is not of this shape. Equal for equal values, and only for them. */
  keyOf(bag: AttributeBag): string | undefined {
    let key = "";
    for (const { slot, type, isAbsent, mapKey } of this.#parts) {
      const value = valueAt(bag.read(slot), mapKey);
      if (isAbsent) {
        if (value !== undefined) return undefined;
      } else {
        if (value === undefined || value instanceof Fault) return undefined;
        key += keyText(mapKey === undefined ? type : "STRING", value);
      }
    }
    return key;
  }

  /** "request.headers[cookie]" of what has to be there, or of what must not. */
  names(isAbsent: boolean): string[] {
    return this.#parts
      .filter((part) => part.isAbsent === isAbsent)
      .map(({ name, mapKey }) => (mapKey === undefined ? name : `${name}[${mapKey}]`));
  }
}

/** Undefined where no answer can be kept under it: an unknown word, a regular expression. */
export function shapeOf(
  message: ReferencedAttributes | undefined,
  vocabulary: Vocabulary,
  request: AttributeBag,
): ReferencedShape | undefined {
  const lists = { words: message?.words ?? [], global: globalWords };
  const matches = message?.attributeMatches ?? [];
  if (matches.length > PARTS_MAX) return undefined;
  const parts: Part[] = [];
  for (const { name: nameIndex, condition, mapKey: keyIndex } of matches) {
    const name = wordAt(lists, nameIndex);
    if (name === undefined) return undefined;
    if (condition !== Condition.ABSENCE && condition !== Condition.EXACT) return undefined;
    const isAbsent = condition === Condition.ABSENCE;
    const attribute = vocabulary.find(name);
    // What our vocabulary does not have no request of ours has.
    if (attribute === undefined && isAbsent) continue;
    if (attribute === undefined) return undefined;
    const { slot, type } = attribute;
    const isMap = type === "STRING_MAP" && isPresent(request.read(slot));
    const mapKey = isMap ? wordAt(lists, keyIndex) : undefined;
    if (isMap && mapKey === undefined) return undefined;
    if (type === "STRING_MAP" && !isMap && !isAbsent) return undefined;
    parts.push({ name, slot, type, isAbsent, mapKey });
  }
  return new ReferencedShape(parts);
}

function partText({ isAbsent, name, mapKey }: Part): string {
  return `${isAbsent ? "-" : "+"}${JSON.stringify([name, mapKey ?? null])}`;
}

function isPresent(value: Reading): boolean {
  return value !== undefined && !(value instanceof Fault);
}

function valueAt(value: Reading, mapKey: string | undefined): Reading {
  if (mapKey === undefined || value === undefined || value instanceof Fault) return value;
  return (value as StringMap).get(mapKey);
}

/** Self-delimiting, so that no two lists of values make one key. */
function keyText(type: ValueType, value: Value): string {
  switch (type) {
    case "TIMESTAMP": {
      const { seconds, nanos } = value as Timestamp;
      return `${seconds}.${nanos};`;
    }
    case "IP_ADDRESS": {
      const octets = shortestIpAddress(value as Uint8Array);
      if (octets.length !== 4) return `${octets.toHex()};`;
      const [a = 0, b = 0, c = 0, d = 0] = octets;
      return String.fromCharCode(a, b, c, d);
    }
    case "STRING_MAP":
      // As a whole it cannot be referred to, see shapeOf.
      return "";
    case "INT64":
    case "DOUBLE":
    case "BOOL":
    case "DURATION":
      return `${String(value)};`;
    default:
      return `${(value as string).length}:${value as string}`;
  }
}
