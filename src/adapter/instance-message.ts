/**
 * Instances as messages of istio/mixer/template: field by field as the template has them, since the
 * names of both are the same. What is absent is left out.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ValueSchema } from "../api/gen/istio/policy/v1beta1/type_pb.ts";
import type { Int64, StringMap, Timestamp, TypedValue } from "../attribute/value.ts";
import {
  type AnyInstance,
  type Dimensions,
  type Fields,
  type FieldType,
  templates,
} from "../policy/template.ts";

type Init = Readonly<Record<string, unknown>>;
type ValueInit = MessageInitShape<typeof ValueSchema>;

/** For `create` with any template's InstanceMsg. */
export function instanceInit(instance: AnyInstance): Init {
  const { fields } = templates[instance.template];
  return { name: instance.name, ...fieldsInit(fields, instance) };
}

function fieldsInit(fields: Fields, of: object): Init {
  const values: Init = { ...of };
  const present = Object.entries(fields).filter(([name]) => values[name] !== undefined);
  return Object.fromEntries(present.map(([name, type]) => [name, fieldInit(type, values[name])]));
}

/** The template says which form the value has. */
function fieldInit(type: FieldType, value: unknown): unknown {
  if (typeof type === "object") return fieldsInit(type, value as object);
  if (type === "VALUE") return valueInit(value as TypedValue);
  if (type === "VALUE_MAP")
    return Object.fromEntries(
      Object.entries(value as Dimensions).map(([key, of]) => [wellFormed(key), valueInit(of)]),
    );
  const { value: init } = valueInit({ type, value } as TypedValue);
  return init?.value;
}

/** istio.policy.v1beta1.Value, which has a case for each type. */
export function valueInit(of: TypedValue): ValueInit {
  switch (of.type) {
    case "STRING":
      return { value: { case: "stringValue", value: wellFormed(of.value) } };
    case "INT64":
      return { value: { case: "int64Value", value: BigInt(of.value) } };
    case "DOUBLE":
      return { value: { case: "doubleValue", value: of.value } };
    case "BOOL":
      return { value: { case: "boolValue", value: of.value } };
    case "IP_ADDRESS":
      return { value: { case: "ipAddressValue", value: { value: new Uint8Array(of.value) } } };
    case "TIMESTAMP":
      return { value: { case: "timestampValue", value: { value: timestamp(of.value) } } };
    case "DURATION":
      return { value: { case: "durationValue", value: { value: duration(of.value) } } };
    case "EMAIL_ADDRESS":
      return { value: { case: "emailAddressValue", value: { value: wellFormed(of.value) } } };
    case "DNS_NAME":
      return { value: { case: "dnsNameValue", value: { value: wellFormed(of.value) } } };
    case "URI":
      return { value: { case: "uriValue", value: { value: wellFormed(of.value) } } };
    case "STRING_MAP":
      return { value: { case: "stringMapValue", value: { value: mapOf(of.value) } } };
    default:
      return of satisfies never;
  }
}

function timestamp({ seconds, nanos }: Timestamp) {
  return { seconds: BigInt(seconds), nanos };
}

/** Seconds and nanoseconds have the same sign. */
function duration(nanoseconds: Int64) {
  const whole = BigInt(nanoseconds);
  return { seconds: whole / 1_000_000_000n, nanos: Number(whole % 1_000_000_000n) };
}

function mapOf(map: StringMap): Record<string, string> {
  const pairs = [...map.entries()].map(([key, value]) => [wellFormed(key), wellFormed(value)]);
  return Object.fromEntries(pairs);
}

/** Octets that are no UTF-8 (byte-text.ts) cannot be said in a message's strings: U+FFFD. */
function wellFormed(text: string): string {
  return text.toWellFormed();
}
