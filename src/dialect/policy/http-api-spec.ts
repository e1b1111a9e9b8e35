/** `kind: HTTPAPISpec`: operations of an API, and where its keys are. Spec table: mixer 2.7. */
import { parseTimestamp } from "../../attribute/timestamp.ts";
import { type Int64, type StringMap, type Timestamp, toInt64 } from "../../attribute/value.ts";
import type {
  ConstantAttribute,
  ConstantAttributes,
  HttpApiSpec,
} from "../../model/http-api-spec.ts";
import { list, mapOf, message, type Reader, toRecord, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { flag, integer, nanoseconds, nonEmpty, number, text } from "../schema/scalar.ts";

const bytes: Reader<Uint8Array> = (place) => {
  const written = text(place);
  if (written === undefined) return undefined;
  const read = /^(?:[\w+/-]{4})*(?:[\w+/-]{2,3}={0,2})?$/.test(written)
    ? Buffer.from(written, "base64")
    : Buffer.alloc(0);
  if (read.length > 0) return new Uint8Array(read);
  place.error(written === "" ? "must not be empty" : "must be in base64");
  return undefined;
};

const timestamp: Reader<Timestamp> = (place) => {
  const written = text(place);
  const read = written === undefined ? undefined : parseTimestamp(written);
  if (written !== undefined && read === undefined)
    place.error(`must be a point in time such as "2026-01-02T15:04:05Z", not "${written}"`);
  return read;
};

const stringMap: Reader<StringMap> = (place) => {
  const written = message({ entries: mapOf(text) })(place);
  if (written?.entries !== undefined && written.entries.length > 0)
    return new Map(Object.entries(toRecord(written.entries)));
  if (written !== undefined) place.error("must have entries");
  return undefined;
};

const written = message({
  stringValue: nonEmpty,
  int64Value: integer({ least: Number.MIN_SAFE_INTEGER, most: Number.MAX_SAFE_INTEGER }),
  doubleValue: number,
  boolValue: flag,
  bytesValue: bytes,
  timestampValue: timestamp,
  durationValue: nanoseconds,
  stringMapValue: stringMap,
});

const kinds = {
  stringValue: "STRING",
  int64Value: "INT64",
  doubleValue: "DOUBLE",
  boolValue: "BOOL",
  bytesValue: "IP_ADDRESS",
  timestampValue: "TIMESTAMP",
  durationValue: "DURATION",
  stringMapValue: "STRING_MAP",
} as const;
const fieldNames = Object.keys(kinds) as (keyof typeof kinds)[];

const constant: Reader<ConstantAttribute> = (place) => {
  const value = written(place);
  if (value === undefined) return undefined;
  const given = fieldNames.filter((name) => value.has(name));
  const [name] = given;
  if (given.length !== 1 || name === undefined) {
    place.error(`must have exactly one value, such as a stringValue, not ${given.length}`);
    return undefined;
  }
  const one = name === "durationValue" ? nanosecondsOf(value[name]) : value[name];
  // The table of fields pairs each name with the reader of its type.
  return one === undefined ? undefined : ({ type: kinds[name], value: one } as ConstantAttribute);
};

function nanosecondsOf(value: bigint | undefined): Int64 | undefined {
  return value === undefined ? undefined : toInt64(value);
}

const attributes = message({ attributes: mapOf(constant) });

const pattern = message({
  attributes,
  httpMethod: nonEmpty,
  uriTemplate: nonEmpty,
  regex: nonEmpty,
});
const apiKey = message({ query: nonEmpty, header: nonEmpty, cookie: nonEmpty });

const fields = message({ attributes, patterns: list(pattern), apiKeys: list(apiKey) });

/** Undefined after the problems have been reported. */
export function readHttpApiSpec(place: Place): HttpApiSpec | undefined {
  const spec = fields(place);
  if (spec === undefined) return undefined;
  if (!spec.has("patterns") || spec.patterns?.length === 0)
    spec.at("patterns").error("must have a pattern");
  return {
    attributes: toAttributes(spec.attributes),
    patterns: (spec.patterns ?? []).flatMap((one) => toPattern(one) ?? []),
    apiKeys: (spec.apiKeys ?? []).flatMap((one) => toKey(one) ?? []),
  };
}

function toAttributes(written: ValueOf<typeof attributes> | undefined): ConstantAttributes {
  const entries = written?.attributes ?? [];
  if (written !== undefined && !written.has("attributes"))
    written.at().error("must have attributes");
  else if (written !== undefined && entries.length === 0 && written.at().reading.errors === 0)
    written.at("attributes").error("must not be empty");
  return toRecord(entries);
}

type Pattern = HttpApiSpec["patterns"][number];

function toPattern(written: ValueOf<typeof pattern>): Pattern | undefined {
  const { httpMethod: method = "", uriTemplate: template, regex } = written;
  if (!written.has("attributes")) written.at().error("must have attributes: it gives no others");
  if (!written.has("httpMethod")) written.at().error("must have an httpMethod");
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
  return name === undefined ? undefined : { in: place, name };
}
