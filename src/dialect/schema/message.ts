/**
 * Tables of fields that read YAML: `message({ weight: integer(), labels: mapOf(text) })` is a
 * reader of such maps. Names are camelCase or snake_case, as in proto-JSON; null is absent; what
 * the table does not know is an error with the nearest name. A value knows where each of its fields
 * was written: `value.at("weight").error(…)`.
 */
import { isMap, isScalar, isSeq, type Pair, type ParsedNode } from "yaml";
import { didYouMean } from "../../core/suggestion.ts";
import type { Place, YamlNode } from "./place.ts";

/** Reads one node; undefined after it has reported why not. */
export type Reader<T> = (place: Place) => T | undefined;

export type Fields = Readonly<Record<string, Reader<unknown>>>;

export type ValueOf<R> = R extends Reader<infer T> ? T : never;

export type Message<F extends Fields> = {
  readonly [K in keyof F]?: ValueOf<F[K]>;
} & {
  /** Where a field is, or would be; without a name, the message itself. */
  readonly at: (field?: keyof F & string) => Place;
  /** A field was written, well or not. */
  readonly has: (field: keyof F & string) => boolean;
};

/** Other spellings of fields, from earlier versions: `{ tags: "labels" }`. */
type Aliases<F extends Fields> = Readonly<Record<string, keyof F & string>>;

const suggestionsMax = 100;

export function message<F extends Fields>(fields: F, aliases: Aliases<F> = {}): Reader<Message<F>> {
  return (place) => {
    const entries = entriesOf(place);
    if (entries === undefined) return undefined;
    const places = new Map<string, Place>();
    const value: Record<string, unknown> = {
      at: (field?: string) =>
        field === undefined ? place : (places.get(field) ?? place.field(field, null, undefined)),
      has: (field: string) => places.has(field),
    };
    for (const { key, keyNode, node } of entries) {
      const camel = camelCase(key);
      const name = Object.hasOwn(aliases, camel) ? aliases[camel]! : camel;
      const at = place.field(key, node, keyNode);
      const read = Object.hasOwn(fields, name) ? fields[name] : undefined;
      if (read === undefined) {
        // Each suggestion costs a comparison with every name.
        const few = place.reading.errors < suggestionsMax;
        const hint = few ? suggestion(key, fields, aliases) : undefined;
        at.keyed(keyNode).error("unknown field", hint);
      } else if (places.has(name)) {
        at.keyed(keyNode).error(`is given twice: it is another spelling of ${name}`);
      } else if (!at.empty) {
        places.set(name, at);
        const result = read(at);
        if (result !== undefined) value[name] = result;
      }
    }
    return value as Message<F>;
  };
}

/** A field that is accepted and has no effect here. */
export function ignored(why: string): Reader<never> {
  return (place) => {
    place.warn(why);
    return undefined;
  };
}

export function list<T>(of: Reader<T>): Reader<readonly T[]> {
  return (place) => {
    const { node } = place;
    if (!isSeq(node)) {
      place.error("must be a list", isMap(node) ? "put a dash before the first field" : undefined);
      return undefined;
    }
    const values: T[] = [];
    node.items.forEach((item, i) => {
      const at = place.item(i, item as YamlNode);
      if (at.empty) at.error("must not be empty");
      else {
        const value = of(at);
        if (value !== undefined) values.push(value);
      }
    });
    return values;
  };
}

export interface Entry<T> {
  readonly key: string;
  readonly value: T;
  readonly at: Place;
}

/** A map whose keys the author chooses. */
export function mapOf<T>(of: Reader<T>): Reader<readonly Entry<T>[]> {
  return (place) => {
    const entries = entriesOf(place);
    if (entries === undefined) return undefined;
    const values: Entry<T>[] = [];
    for (const { key, keyNode, node } of entries) {
      const at = place.entry(key, node, keyNode);
      const value = of(at);
      if (value !== undefined) values.push({ key, value, at });
    }
    return values;
  };
}

export function toRecord<T>(entries: readonly Entry<T>[] | undefined): Readonly<Record<string, T>> {
  return Object.fromEntries((entries ?? []).map(({ key, value }) => [key, value]));
}

interface RawEntry {
  readonly key: string;
  readonly keyNode: YamlNode;
  readonly node: YamlNode;
}

/** The entries of a map, with those of `<<: *base` that it does not override. */
export function entriesOf(place: Place): readonly RawEntry[] | undefined {
  const { node } = place;
  if (!isMap(node)) {
    place.error("must be a map of fields", isSeq(node) ? "remove the dash" : undefined);
    return undefined;
  }
  const entries: RawEntry[] = [];
  const inherited: RawEntry[] = [];
  const own = new Set<string>();
  for (const pair of node.items as Pair<ParsedNode, ParsedNode | null>[]) {
    const key = scalarText(pair.key);
    if (key === undefined) place.error("has a key that is not a name");
    else if (key !== "<<") {
      if (own.has(key)) place.field(key, null, undefined).keyed(pair.key).error("is given twice");
      else entries.push({ key, keyNode: pair.key, node: pair.value });
      own.add(key);
    } else inherited.push(...(entriesOf(place.field("<<", pair.value, pair.key)) ?? []));
  }
  if (inherited.length === 0) return entries;
  return [...entries, ...inherited.filter(({ key }) => !own.has(key))];
}

function scalarText(node: unknown): string | undefined {
  if (!isScalar(node)) return undefined;
  const { value } = node;
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** In the spelling that the author uses. */
function suggestion(key: string, fields: Fields, aliases: Readonly<Record<string, string>>) {
  const names = [...Object.keys(fields), ...Object.keys(aliases)];
  const snake = key.includes("_");
  return didYouMean(
    key,
    snake ? names.map((name) => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)) : names,
  );
}
