/**
 * Instances ─▶ records of OTLP, encoded one by one, so that what waits is known in octets; and
 * requests around them, whose messages have the same numbers for every signal:
 *
 *   request ── 1 ▶ resource's (1 resource, 2 ▶ scope's (1 scope, 2 ▶ record …))
 */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type AnyValueSchema,
  ExportResponseSchema,
  InstrumentationScopeSchema,
  type KeyValueSchema,
  LogRecordSchema,
  ResourceSchema,
  SpanSchema,
} from "../api/gen/otlp/v1/otlp_pb.ts";
import type { Int64, Timestamp, TypedValue } from "../attribute/value.ts";
import type { Dimensions, Instance } from "../policy/template.ts";
import { valueText } from "../policy/value-text.ts";

type AnyValue = MessageInitShape<typeof AnyValueSchema>;
type KeyValue = MessageInitShape<typeof KeyValueSchema>;

const CLIENT = 3;
const SERVER = 2;
const ERROR = 2;

function anyValue(of: TypedValue): AnyValue {
  switch (of.type) {
    case "INT64":
      return { value: { case: "intValue", value: BigInt(of.value) } };
    case "DOUBLE":
      return { value: { case: "doubleValue", value: of.value } };
    case "BOOL":
      return { value: { case: "boolValue", value: of.value } };
    case "STRING_MAP":
      return {
        value: { case: "kvlistValue", value: { values: textAttributes(of.value.entries()) } },
      };
    default:
      return textValue(valueText(of));
  }
}

function textValue(value: string): AnyValue {
  return { value: { case: "stringValue", value } };
}

export function textAttributes(of: Iterable<readonly [key: string, value: string]>): KeyValue[] {
  return Array.from(of, ([key, value]) => ({ key, value: textValue(value) }));
}

function attributes(of: Dimensions): KeyValue[] {
  return Object.entries(of).map(([key, value]) => ({ key, value: anyValue(value) }));
}

const NANOS_MAX = 2n ** 64n - 1n;

/** Since 1970; times before it and after 2554, which the field cannot have, are its ends. */
export function unixNanos({ seconds, nanos }: Timestamp): bigint {
  const value = BigInt(seconds) * 1_000_000_000n + BigInt(nanos);
  return value < 0n ? 0n : value > NANOS_MAX ? NANOS_MAX : value;
}

const severities: ReadonlyMap<string, number> = new Map([
  ["debug", 5],
  ["info", 9],
  ["informational", 9],
  ["warn", 13],
  ["warning", 13],
  ["error", 17],
  ["fatal", 21],
]);

export function encodeLog(entry: Instance<"logentry">, now: Timestamp): Uint8Array {
  const { severity = "", timestamp = now, variables = {}, name } = entry;
  const record = create(LogRecordSchema, {
    timeUnixNano: unixNanos(timestamp),
    observedTimeUnixNano: unixNanos(now),
    severityNumber: severities.get(severity.toLowerCase()) ?? 0,
    severityText: severity,
    eventName: name,
    attributes: attributes(variables),
  });
  return toBinary(LogRecordSchema, record);
}

/** Undefined: ids or times that are none. Ids of 64 bits are filled up. */
export function encodeSpan(span: Instance<"tracespan">): Uint8Array | undefined {
  const traceId = idOf(span.traceId ?? "", 32);
  const spanId = idOf(span.spanId ?? "", 16);
  const { startTime, endTime, httpStatusCode, clientSpan = false } = span;
  if (traceId === undefined || spanId === undefined) return undefined;
  if (startTime === undefined || endTime === undefined) return undefined;
  const failed = Number(httpStatusCode ?? 0) >= (clientSpan ? 400 : 500);
  const parentSpanId = idOf(span.parentSpanId ?? "", 16);
  const record = create(SpanSchema, {
    traceId,
    spanId,
    ...(parentSpanId && { parentSpanId }),
    name: span.spanName ?? "",
    kind: clientSpan ? CLIENT : SERVER,
    startTimeUnixNano: unixNanos(startTime),
    endTimeUnixNano: unixNanos(endTime),
    attributes: attributes(spanAttributes(span)),
    ...(failed && { status: { code: ERROR } }),
  });
  return toBinary(SpanSchema, record);
}

/** By the names that OpenTelemetry gives them. */
function spanAttributes(span: Instance<"tracespan">): Dimensions {
  const found: Record<string, TypedValue> = { ...span.spanTags };
  const put = (name: string, value: Int64 | undefined): void => {
    if (value !== undefined) found[name] = { type: "INT64", value };
  };
  put("http.response.status_code", span.httpStatusCode);
  put("http.request.body.size", span.requestSize);
  put("http.response.body.size", span.responseSize);
  const name = span.clientSpan === true ? span.destinationName : span.sourceName;
  const ip = span.clientSpan === true ? span.destinationIp : span.sourceIp;
  if (name !== undefined && name !== "") found["peer.service"] = { type: "STRING", value: name };
  if (ip !== undefined) found["network.peer.address"] = { type: "IP_ADDRESS", value: ip };
  return found;
}

function idOf(text: string, digits: number): Uint8Array<ArrayBuffer> | undefined {
  if (text === "" || text.length > digits || !/^[0-9a-f]+$/i.test(text)) return undefined;
  return /^0+$/.test(text) ? undefined : Uint8Array.fromHex(text.padStart(digits, "0"));
}

const scope = toBinary(
  InstrumentationScopeSchema,
  create(InstrumentationScopeSchema, { name: "mesh" }),
);

export function encodeResource(of: Readonly<Record<string, string>>): Uint8Array {
  const resource = create(ResourceSchema, { attributes: textAttributes(Object.entries(of)) });
  return toBinary(ResourceSchema, resource);
}

/** Of logs, spans or metrics alike. */
export function exportRequest(
  resource: Uint8Array,
  records: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const scoped = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(scope);
  for (const record of records) scoped.tag(2, WireType.LengthDelimited).bytes(record);
  const whole = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(resource);
  whole.tag(2, WireType.LengthDelimited).bytes(scoped.finish());
  const request = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(whole.finish());
  return request.finish();
}

/** How many records a collector that answered refused; 0 where its answer is none. */
export function refusedBy(answer: Uint8Array): number {
  try {
    const { partialSuccess } = fromBinary(ExportResponseSchema, answer);
    return Math.max(0, Number(partialSuccess?.rejected ?? 0n));
  } catch {
    return 0;
  }
}
