/** Quota specs, API specs and bindings as messages and back. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  HttpApiSpec as ApiMessage,
  SpecBinding as BindingMessage,
  HttpApiSpec_Constant,
  HttpApiSpec_ConstantSchema,
  HttpApiSpec_PatternSchema,
  HttpApiSpecSchema,
  QuotaSpec as QuotaMessage,
  QuotaSpec_Clause,
  QuotaSpec_ClauseSchema,
  QuotaSpecSchema,
  SpecBindingSchema,
} from "../api/gen/mesh/v1/policy_pb.ts";
import { toInt64 } from "../attribute/value.ts";
import {
  durationOfMessage,
  messageOfDuration,
  messageOfTimestamp,
  timestampOfMessage,
} from "../attribute/well-known-time.ts";
import type { ConstantAttribute, ConstantAttributes, HttpApiSpec } from "../model/http-api-spec.ts";
import type { AttributeMatch, QuotaSpec, SpecBinding, StringMatch } from "../model/quota-spec.ts";
import { type PlaceReader, placeToMessage } from "./place-message.ts";

export function quotaSpecToMessage({ rules }: QuotaSpec) {
  return {
    rules: rules.map(({ match, quotas }) => ({
      match: match.map((one) => ({ clauses: Object.entries(one).map(clauseToMessage) })),
      quotas: quotas.map(({ quota, charge }) => ({ quota, charge: BigInt(charge) })),
    })),
  } satisfies MessageInitShape<typeof QuotaSpecSchema>;
}

export function quotaSpecFromMessage({ rules }: QuotaMessage): QuotaSpec {
  return {
    rules: rules.map(({ match, quotas }) => ({
      match: match.map(({ clauses }) => matchOf(clauses)),
      quotas: quotas.map(({ quota, charge }) => ({ quota, charge: Number(charge) })),
    })),
  };
}

function clauseToMessage([attribute, match]: readonly [string, StringMatch]): MessageInitShape<
  typeof QuotaSpec_ClauseSchema
> {
  if (match.by === "regex") return { attribute, text: { case: "regex", value: match.pattern } };
  return { attribute, text: { case: match.by, value: match.text } };
}

function matchOf(clauses: readonly QuotaSpec_Clause[]): AttributeMatch {
  return Object.fromEntries(clauses.map(({ attribute, text }) => [attribute, stringMatchOf(text)]));
}

/** One of a kind that is not known yet never holds. */
function stringMatchOf({ case: by, value }: QuotaSpec_Clause["text"]): StringMatch {
  if (by === undefined) return { by: "regex", pattern: "[^\\s\\S]" };
  return by === "regex" ? { by, pattern: value } : { by, text: value };
}

export function bindingToMessage({ services, specs }: SpecBinding) {
  return {
    services: [...services],
    specs: specs.map(({ name, namespace, at }) => ({ name, namespace, at: placeToMessage(at) })),
  } satisfies MessageInitShape<typeof SpecBindingSchema>;
}

export function bindingFromMessage(message: BindingMessage, places: PlaceReader): SpecBinding {
  return {
    services: message.services,
    specs: message.specs.map(({ name, namespace, at }) => ({
      name,
      namespace,
      at: places.position(at),
    })),
  };
}

export function apiSpecToMessage({ attributes, patterns, apiKeys }: HttpApiSpec) {
  return {
    attributes: constantsToMessage(attributes),
    patterns: patterns.map(
      ({ method, path, attributes: own }): MessageInitShape<typeof HttpApiSpec_PatternSchema> => ({
        method,
        path:
          path.by === "template"
            ? { case: "template", value: path.template }
            : { case: "regex", value: path.pattern },
        attributes: constantsToMessage(own),
      }),
    ),
    apiKeys: apiKeys.map((key) => ({ place: { case: key.in, value: key.name } })),
  } satisfies MessageInitShape<typeof HttpApiSpecSchema>;
}

export function apiSpecFromMessage({ attributes, patterns, apiKeys }: ApiMessage): HttpApiSpec {
  return {
    attributes: constantsFromMessage(attributes),
    patterns: patterns.flatMap(({ method, path, attributes: own }) => {
      if (path.case === undefined) return [];
      const read: HttpApiSpec["patterns"][number]["path"] =
        path.case === "template"
          ? { by: "template", template: path.value }
          : { by: "regex", pattern: path.value };
      return [{ method, path: read, attributes: constantsFromMessage(own) }];
    }),
    apiKeys: apiKeys.flatMap(({ place }) =>
      place.case === undefined ? [] : [{ in: place.case, name: place.value }],
    ),
  };
}

type ConstantInit = MessageInitShape<typeof HttpApiSpec_ConstantSchema>;

function constantsToMessage(attributes: ConstantAttributes): ConstantInit[] {
  return Object.entries(attributes).map(([name, one]): ConstantInit => {
    switch (one.type) {
      case "STRING":
        return { name, value: { case: "stringValue", value: one.value } };
      case "INT64":
        return { name, value: { case: "int64Value", value: BigInt(one.value) } };
      case "DOUBLE":
        return { name, value: { case: "doubleValue", value: one.value } };
      case "BOOL":
        return { name, value: { case: "boolValue", value: one.value } };
      case "IP_ADDRESS":
        return { name, value: { case: "bytesValue", value: one.value } };
      case "TIMESTAMP":
        return { name, value: { case: "timestampValue", value: messageOfTimestamp(one.value) } };
      case "DURATION":
        return { name, value: { case: "durationValue", value: messageOfDuration(one.value) } };
      case "STRING_MAP": {
        const entries = Object.fromEntries(one.value.entries());
        return { name, value: { case: "stringMapValue", value: { entries } } };
      }
      default:
        return one satisfies never;
    }
  });
}

function constantsFromMessage(constants: readonly HttpApiSpec_Constant[]): ConstantAttributes {
  return Object.fromEntries(
    constants.flatMap(({ name, value }) => {
      const read = constantOf(value);
      return read === undefined ? [] : [[name, read] as const];
    }),
  );
}

function constantOf(value: HttpApiSpec_Constant["value"]): ConstantAttribute | undefined {
  switch (value.case) {
    case "stringValue":
      return { type: "STRING", value: value.value };
    case "int64Value":
      return { type: "INT64", value: toInt64(value.value) };
    case "doubleValue":
      return { type: "DOUBLE", value: value.value };
    case "boolValue":
      return { type: "BOOL", value: value.value };
    case "bytesValue":
      return { type: "IP_ADDRESS", value: value.value };
    case "timestampValue": {
      const at = timestampOfMessage(value.value);
      return at && { type: "TIMESTAMP", value: at };
    }
    case "durationValue": {
      const ns = durationOfMessage(value.value);
      return ns === undefined ? undefined : { type: "DURATION", value: ns };
    }
    case "stringMapValue":
      return { type: "STRING_MAP", value: new Map(Object.entries(value.value.entries)) };
    default:
      return undefined;
  }
}
