/**
 * CompressedAttributes (istio.mixer.v1) to and from values by name.
 *
 * Every number and word in a message is a stranger's. A message beyond a limit is refused whole;
 * an attribute that cannot be decoded reads as absent, and is counted by reason; `strict` makes the
 * first of them the answer, as deltas need it, which would otherwise build upon a gap.
 */
import { create } from "@bufbuild/protobuf";
import {
  type CompressedAttributes,
  CompressedAttributesSchema,
  type StringMap as StringMapMessage,
  StringMapSchema,
} from "../api/gen/istio/mixer/v1/attributes_pb.ts";
import type { WireValue } from "./bag.ts";
import type { StringMap } from "./value.ts";
import {
  durationOfMessage,
  messageOfDuration,
  messageOfTimestamp,
  timestampOfMessage,
} from "./well-known-time.ts";
import { type WordLists, WordWriter, wordAt } from "./word-list.ts";

/** What one message may hold; a report's default_words count as its words. */
export const messageLimits = {
  words: 65_536,
  attributes: 1_024,
  mapEntries: 1_024,
  /** In UTF-16 units, of all words that values stand for, each time that they do. */
  text: 4 * 1024 * 1024,
};

export type MessageFault = "too-many-words" | "too-many-attributes" | "too-much-text";
export type AttributeFault =
  | "unknown-word"
  | "duplicate-attribute"
  | "bad-timestamp"
  | "bad-duration"
  | "too-many-entries";

export interface Undecodable {
  readonly reason: AttributeFault;
  readonly message: string;
}

export type AttributeValues = ReadonlyMap<string, WireValue>;

export type Decoded =
  | { readonly ok: true; readonly values: AttributeValues; readonly left: readonly Undecodable[] }
  | {
      readonly ok: false;
      readonly reason: MessageFault | AttributeFault;
      readonly message: string;
    };

export function decodeAttributes(
  message: CompressedAttributes,
  lists: WordLists,
  strict = false,
): Decoded {
  const fault = beyondLimits(message, lists);
  if (fault !== undefined) return { ok: false, reason: fault, message: fault };
  const decoder = new Decoder(lists);
  decoder.decode(message);
  if (decoder.text > messageLimits.text)
    return { ok: false, reason: "too-much-text", message: "too-much-text" };
  const [first] = decoder.left;
  if (strict && first !== undefined) return { ok: false, ...first };
  return { ok: true, values: decoder.values, left: decoder.left };
}

type Entry = readonly [index: number, value: unknown];

/** Go's names of the types, in the order in which the maps are read: for the texts of faults. */
const goNames: Readonly<Record<WireValue["type"], string>> = {
  STRING: "string",
  INT64: "int64",
  DOUBLE: "float64",
  BOOL: "bool",
  TIMESTAMP: "time.Time",
  DURATION: "time.Duration",
  BYTES: "[]uint8",
  STRING_MAP: "attribute.StringMap",
};

function mapsOf(message: CompressedAttributes): readonly (readonly [WireValue["type"], object])[] {
  return [
    ["STRING", message.strings],
    ["INT64", message.int64s],
    ["DOUBLE", message.doubles],
    ["BOOL", message.bools],
    ["TIMESTAMP", message.timestamps],
    ["DURATION", message.durations],
    ["BYTES", message.bytes],
    ["STRING_MAP", message.stringMaps],
  ];
}

function beyondLimits(message: CompressedAttributes, lists: WordLists): MessageFault | undefined {
  if (lists.words.length > messageLimits.words) return "too-many-words";
  let attributes = 0;
  for (const [, map] of mapsOf(message)) attributes += Object.keys(map).length;
  return attributes > messageLimits.attributes ? "too-many-attributes" : undefined;
}

class Decoder {
  readonly values = new Map<string, WireValue>();
  readonly left: Undecodable[] = [];
  text = 0;
  readonly #lists: WordLists;

  constructor(lists: WordLists) {
    this.#lists = lists;
  }

  decode(message: CompressedAttributes): void {
    for (const [type, map] of mapsOf(message))
      for (const [key, value] of Object.entries(map)) this.#decodeOne(type, [Number(key), value]);
  }

  #decodeOne(type: WireValue["type"], [index, encoded]: Entry): void {
    const name = wordAt(this.#lists, index);
    if (name === undefined) return this.#leave("unknown-word", unknownIndex(index));
    if (this.values.has(name))
      return this.#leave(
        "duplicate-attribute",
        `duplicate attribute ${name} (type ${goNames[type]})`,
      );
    const value = this.#valueOf(type, encoded);
    if (value !== undefined) this.values.set(name, { type, value });
  }

  #valueOf(type: WireValue["type"], encoded: unknown): WireValue["value"] | undefined {
    switch (type) {
      case "STRING":
        return this.#word(encoded as number);
      case "INT64":
        return shortest(encoded as bigint);
      case "DOUBLE":
      case "BOOL":
      case "BYTES":
        return encoded as number | boolean | Uint8Array;
      case "TIMESTAMP":
        return (
          timestampOfMessage(encoded as never) ?? this.#leave("bad-timestamp", "bad timestamp")
        );
      case "DURATION":
        return durationOfMessage(encoded as never) ?? this.#leave("bad-duration", "bad duration");
      case "STRING_MAP":
        return this.#stringMap(encoded as StringMapMessage);
    }
  }

  #word(index: number): string | undefined {
    const word = wordAt(this.#lists, index);
    if (word === undefined) return this.#leave("unknown-word", unknownIndex(index));
    this.text += word.length;
    return word;
  }

  #stringMap({ entries }: StringMapMessage): StringMap | undefined {
    const pairs = Object.entries(entries);
    if (pairs.length > messageLimits.mapEntries)
      return this.#leave("too-many-entries", `string map of ${pairs.length} entries`);
    const map = new Map<string, string>();
    for (const [key, value] of pairs) {
      const name = this.#word(Number(key));
      const text = name === undefined ? undefined : this.#word(value);
      if (name === undefined || text === undefined) return undefined;
      map.set(name, text);
    }
    return map;
  }

  #leave(reason: AttributeFault, message: string): undefined {
    this.left.push({ reason, message });
  }
}

function unknownIndex(index: number): string {
  return `attribute index ${index} is not defined in the available dictionaries`;
}

function shortest(value: bigint): number | bigint {
  const short = Number(value);
  return Number.isSafeInteger(short) ? short : value;
}

/** With a writer of its own, the message carries its words; else the writer's owner sends them. */
export function encodeAttributes(
  values: Iterable<readonly [name: string, value: WireValue]>,
  writer?: WordWriter,
): CompressedAttributes {
  const message = create(CompressedAttributesSchema);
  const words = writer ?? new WordWriter();
  for (const [name, { type, value }] of values) {
    const index = words.indexOf(name);
    if (type === "STRING") message.strings[index] = words.indexOf(value as string);
    else if (type === "INT64") message.int64s[index] = BigInt(value as number | bigint);
    else if (type === "DOUBLE") message.doubles[index] = value as number;
    else if (type === "BOOL") message.bools[index] = value as boolean;
    else if (type === "TIMESTAMP") message.timestamps[index] = messageOfTimestamp(value as never);
    else if (type === "DURATION") message.durations[index] = messageOfDuration(value as never);
    else if (type === "BYTES") message.bytes[index] = value as Uint8Array;
    else message.stringMaps[index] = messageOfMap(value as StringMap, words);
  }
  if (writer === undefined) message.words = words.words;
  return message;
}

function messageOfMap(map: StringMap, words: WordWriter): StringMapMessage {
  const message = create(StringMapSchema);
  for (const [key, value] of map.entries())
    message.entries[words.indexOf(key)] = words.indexOf(value);
  return message;
}
