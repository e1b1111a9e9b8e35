/** `kind: HTTPAPISpec`: operations of an API, and where its keys are. Spec table: mixer 2.7. */
import type {
  ConstantAttribute,
  ConstantAttributes,
  HttpApiSpec,
} from "../../model/http-api-spec.ts";
import {
  type Entry,
  list,
  mapOf,
  message,
  type Reader,
  toRecord,
  type ValueOf,
} from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { flag, integer, number, text } from "../schema/scalar.ts";

const refused: Reader<never> = (place) => {
  place.error("is not supported: a constant is a text, a number, or true or false");
  return undefined;
};

const value = message({
  stringValue: text,
  int64Value: integer({ least: Number.MIN_SAFE_INTEGER, most: Number.MAX_SAFE_INTEGER }),
  doubleValue: number,
  boolValue: flag,
  bytesValue: refused,
  timestampValue: refused,
  durationValue: refused,
  stringMapValue: refused,
});

const attributes = message({ attributes: mapOf(value) });

const pattern = message({ attributes, httpMethod: text, uriTemplate: text, regex: text });
const apiKey = message({ query: text, header: text, cookie: text });

const fields = message({ attributes, patterns: list(pattern), apiKeys: list(apiKey) });

/** Undefined after the problems have been reported. */
export function readHttpApiSpec(place: Place): HttpApiSpec | undefined {
  const spec = fields(place);
  if (spec === undefined) return undefined;
  return {
    attributes: toAttributes(spec.attributes),
    patterns: (spec.patterns ?? []).flatMap((one) => toPattern(one) ?? []),
    apiKeys: (spec.apiKeys ?? []).flatMap((one) => toKey(one) ?? []),
  };
}

function toAttributes(written: ValueOf<typeof attributes> | undefined): ConstantAttributes {
  const entries = written?.attributes ?? [];
  return toRecord(
    entries.flatMap((entry): Entry<ConstantAttribute>[] => {
      const constant = toConstant(entry.value);
      return constant === undefined ? [] : [{ ...entry, value: constant }];
    }),
  );
}

function toConstant(written: ValueOf<typeof value>): ConstantAttribute | undefined {
  const { stringValue, int64Value, doubleValue, boolValue } = written;
  const given = [
    stringValue !== undefined && ({ type: "STRING", value: stringValue } as const),
    int64Value !== undefined && ({ type: "INT64", value: int64Value } as const),
    doubleValue !== undefined && ({ type: "DOUBLE", value: doubleValue } as const),
    boolValue !== undefined && ({ type: "BOOL", value: boolValue } as const),
  ].filter((one) => one !== false);
  if (given.length > 1) written.at().error("must have one value");
  return given[0];
}

type Pattern = HttpApiSpec["patterns"][number];

function toPattern(written: ValueOf<typeof pattern>): Pattern | undefined {
  const { httpMethod: method = "", uriTemplate: template, regex } = written;
  const common = { method, attributes: toAttributes(written.attributes) };
  if (written.has("uriTemplate") === written.has("regex"))
    written.at().error("must have either a uriTemplate or a regex");
  if (template !== undefined) return { ...common, path: { by: "template", template } };
  return regex === undefined ? undefined : { ...common, path: { by: "regex", pattern: regex } };
}

function toKey(written: ValueOf<typeof apiKey>): HttpApiSpec["apiKeys"][number] | undefined {
  const given = (["query", "header", "cookie"] as const).filter((place) => written.has(place));
  const [place] = given;
  if (given.length !== 1 || place === undefined) {
    written.at().error(`must have exactly one of query, header and cookie, not ${given.length}`);
    return undefined;
  }
  const name = written[place];
  if (name === "") written.at(place).error("must not be empty");
  return name === undefined ? undefined : { in: place, name };
}
