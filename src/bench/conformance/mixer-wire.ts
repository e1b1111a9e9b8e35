/** CompressedAttributes as bytes: what they decode to, what reading them refers to. */
import { type DescMessage, fromBinary, type Message, toBinary, toJson } from "@bufbuild/protobuf";
import {
  AttributesSchema,
  CompressedAttributesSchema,
} from "../../api/gen/istio/mixer/v1/attributes_pb.ts";
import {
  CheckRequestSchema,
  CheckResponseSchema,
  ReportRequestSchema,
} from "../../api/gen/istio/mixer/v1/mixer_pb.ts";
import {
  type AttributeValues,
  decodeAttributes,
  encodeAttributes,
} from "../../attribute/attribute-message.ts";
import { MutableBag, type WireValue } from "../../attribute/bag.ts";
import { ForwardedAttributes, forwardedNames } from "../../attribute/forwarded-attributes.ts";
import { globalWords } from "../../attribute/global-dictionary.ts";
import { TrackedBag } from "../../attribute/reference.ts";
import type { StringMap, ValueType } from "../../attribute/value.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import { readVectors } from "./http-vector.ts";
import { type Typed, wireValue } from "./mixer-expressions.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

export interface WireCase {
  readonly kind: string;
  readonly test: string;
  readonly wire_hex?: string;
  readonly proto_json?: Readonly<Record<string, unknown>>;
  readonly global_words?: readonly string[] | "real" | null;
  readonly attributes?: Readonly<Record<string, Typed>>;
  readonly error?: string;
  readonly lookups?: readonly {
    readonly name: string;
    readonly found: boolean;
    readonly value: Typed | null;
  }[];
  readonly access?: readonly { readonly get: string; readonly key?: string }[];
  readonly referenced?: readonly object[];
  /** What each entry of a report comes to. */
  readonly bags?: readonly Readonly<Record<string, Typed>>[];
}

function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const one of readVectors<{ cases: readonly WireCase[] }>(path).cases) {
    const judge = judges[one.kind];
    const name = `${one.kind} ${one.test}`;
    if (judge === undefined || one.wire_hex === undefined)
      verdicts.skip(name, `cases of kind ${one.kind} are not read yet`);
    else verdicts.judge(name, judge(one, Uint8Array.fromHex(one.wire_hex)));
  }
  return Promise.resolve(verdicts.result());
}

type Judge = (one: WireCase, bytes: Uint8Array) => string | undefined;

const judges: Readonly<Record<string, Judge>> = {
  decode: (one, bytes) => {
    const message = fromBinary(CompressedAttributesSchema, bytes);
    const decoded = decodeAttributes(message, listsOf(one, message.words), true);
    if (one.error !== undefined)
      return !decoded.ok && decoded.message === one.error ? undefined : JSON.stringify(decoded);
    return decoded.ok ? difference(one, decoded.values) : decoded.message;
  },
  encode: (one) => {
    const entries = Object.entries(one.attributes ?? {});
    const message = encodeAttributes(entries.map(([name, value]) => [name, wireValue(value)]));
    const decoded = decodeAttributes(message, { words: message.words, global: globalWords });
    if (!decoded.ok) return decoded.message;
    return difference(one, decoded.values) ?? sameJson(one, CompressedAttributesSchema, message);
  },
  lookup: judgeLookups,
  references: judgeLookups,
  check_request: (one, bytes) => judgeMessage(one, CheckRequestSchema, bytes),
  check_response: (one, bytes) => judgeMessage(one, CheckResponseSchema, bytes),
  report_request_message: (one, bytes) => judgeMessage(one, ReportRequestSchema, bytes),
  attributes_uncompressed: (one, bytes) =>
    judgeMessage(one, AttributesSchema, bytes) ?? judgeForwarded(one, bytes),
};

/** As the value of a header: of the names that are believed, those that the message has as text. */
function judgeForwarded({ proto_json: json }: WireCase, bytes: Uint8Array): string | undefined {
  const attributes = (json?.attributes ?? {}) as Readonly<Record<string, { stringValue?: string }>>;
  const header = new TextEncoder().encode(bytes.toBase64());
  const forwarded = new ForwardedAttributes();
  if (!forwarded.read(header, 0, header.length)) return "is refused";
  const found = forwardedNames.map((_, i) => forwarded.text(i));
  const wanted = forwardedNames.map((name) => attributes[name]?.stringValue);
  return Bun.deepEquals(found, wanted) ? undefined : `reads as ${JSON.stringify(found)}`;
}

function judgeLookups(one: WireCase, bytes: Uint8Array): string | undefined {
  const message = fromBinary(CompressedAttributesSchema, bytes);
  const decoded = decodeAttributes(message, listsOf(one, message.words));
  if (!decoded.ok) return decoded.message;
  const reads: readonly {
    readonly get: string;
    readonly key?: string;
    readonly found?: boolean;
    readonly value?: Typed | null;
  }[] = one.access ?? (one.lookups ?? []).map(({ name, ...rest }) => ({ get: name, ...rest }));
  const vocabulary = new Vocabulary(
    reads.map(
      ({ get }) => [get, (decoded.values.get(get)?.type ?? "STRING") as ValueType] as const,
    ),
  );
  const bag = new MutableBag(vocabulary);
  for (const [name, value] of decoded.values) bag.set(name, value);
  const tracked = new TrackedBag(vocabulary, bag);
  for (const { get, key, found, value: wanted } of reads) {
    const value = tracked.read(vocabulary.find(get)!.slot);
    if (found !== undefined && (value !== undefined) !== found) return `${get} is wrong`;
    if (wanted && !Bun.deepEquals(value, wireValue(wanted).value)) return `${get} is ${value}`;
    if (key !== undefined) (value as StringMap).get(key);
  }
  const references = tracked
    .references()
    .map(({ name, condition, mapKey }) => JSON.stringify([name, condition, mapKey ?? null]));
  const wanted = (one.referenced ?? []).map((entry) => {
    const { name, condition, map_key = null } = entry as Record<string, string | null>;
    return JSON.stringify([name, condition, map_key]);
  });
  return references.sort().join() === wanted.sort().join() ? undefined : references.join();
}

function listsOf({ global_words: global }: WireCase, words: readonly string[]) {
  return { words, global: global === "real" ? globalWords : (global ?? []) };
}

function difference(one: WireCase, values: AttributeValues): string | undefined {
  const wanted = Object.entries(one.attributes ?? {}).map(
    ([name, value]) => [name, wireValue(value)] as const,
  );
  const text = (entries: Iterable<readonly [string, WireValue]>): string =>
    [...entries]
      .map(([name, value]) => `${name} ${Bun.inspect(value)}`)
      .sort()
      .join();
  return text(wanted) === text(values) ? undefined : text(values);
}

/** What is read, and what is written of it: entries of a map may go in another order. */
function judgeMessage(one: WireCase, schema: DescMessage, bytes: Uint8Array): string | undefined {
  const message = fromBinary(schema, bytes);
  const written = toBinary(schema, message);
  if (written.toSorted().toHex() !== bytes.toSorted().toHex())
    return `${written.toHex()} has other octets`;
  return sameJson(one, schema, message);
}

function sameJson({ proto_json: wanted }: WireCase, schema: DescMessage, message: Message) {
  const found = toJson(schema, message);
  return wanted === undefined || Bun.deepEquals(found, wanted) ? undefined : JSON.stringify(found);
}

export const wireSuites: readonly Suite[] = [{ file: "mixer/attribute_wire.json", run }];
