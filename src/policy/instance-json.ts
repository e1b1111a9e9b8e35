/**
 * Instances as JSON, for backends that are asked over HTTP: the template's fields by their names,
 * numbers and booleans as such, maps as objects, everything else as text (value-text.ts).
 */
import type { TypedValue, Value, ValueType } from "../attribute/value.ts";
import { type AnyInstance, type Fields, type FieldType, templates } from "./template.ts";
import { plainNumber, valueText } from "./value-text.ts";

/** What absent fields would say is left out. */
export function instanceJson(instance: AnyInstance): string {
  const { fields } = templates[instance.template];
  const body = fieldsJson(fields, instance);
  const name = `"name":${JSON.stringify(instance.name)}`;
  return body === "" ? `{${name}}` : `{${name},${body}}`;
}

/** The same of some of its fields: `{"subject":…,"action":…}`. */
export function instanceFieldsJson(instance: AnyInstance): string {
  return `{${fieldsJson(templates[instance.template].fields, instance)}}`;
}

function fieldsJson(fields: Fields, of: object): string {
  const parts: string[] = [];
  const values: Readonly<Record<string, unknown>> = { ...of };
  for (const [name, type] of Object.entries(fields)) {
    const value = values[name];
    if (value !== undefined) parts.push(`"${name}":${fieldJson(type, value)}`);
  }
  return parts.join(",");
}

/** The template says which form the value has. */
function fieldJson(type: FieldType, value: unknown): string {
  if (typeof type === "object") return `{${fieldsJson(type, value as object)}}`;
  if (type === "VALUE") return valueJson(value as TypedValue);
  if (type === "VALUE_MAP") {
    const entries = Object.entries(value as Readonly<Record<string, TypedValue>>);
    return `{${entries.map(([key, of]) => `${JSON.stringify(key)}:${valueJson(of)}`).join(",")}}`;
  }
  return valueJson({ type: type as ValueType, value: value as Value } as TypedValue);
}

/** Numbers and booleans as such, maps as objects with sorted keys, the rest as text. */
export function valueJson(of: TypedValue | undefined): string {
  switch (of?.type) {
    case undefined:
      return "null";
    case "INT64":
    case "BOOL":
      return String(of.value);
    case "DOUBLE":
      return Number.isFinite(of.value) ? plainNumber(of.value) : `"${plainNumber(of.value)}"`;
    case "STRING_MAP": {
      const entries = [...of.value.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
      const pairs = entries.map(
        ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`,
      );
      return `{${pairs.join(",")}}`;
    }
    default:
      return textJson(valueText(of));
  }
}

const special = /["\\\u0000-\u001f\ud800-\udfff]/;

/** Between quotation marks it is what JSON.stringify makes of it; most texts are. */
export function isPlainText(text: string): boolean {
  return !special.test(text);
}

function textJson(text: string): string {
  return isPlainText(text) ? `"${text}"` : JSON.stringify(text);
}
