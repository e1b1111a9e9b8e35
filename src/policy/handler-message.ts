/** Handlers and instances as messages and back; inline ones of rules are the same. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  FailPolicy as FailPolicyMessage,
  type HandlerSpec,
  type HandlerSpecSchema,
  type InstanceSpec,
  type InstanceSpec_Field,
  type InstanceSpec_FieldSchema,
  type InstanceSpecSchema,
} from "../api/gen/mesh/v1/policy_pb.ts";
import type { FailPolicy, Handler } from "../model/handler.ts";
import { type Instance, type InstanceFields, isExpressionText } from "../model/instance.ts";
import {
  expressionToMessage,
  type PlaceReader,
  placesToMessage,
  placeToMessage,
} from "./place-message.ts";

export function failPolicyToMessage(policy: FailPolicy | undefined): FailPolicyMessage {
  if (policy === undefined) return FailPolicyMessage.UNSPECIFIED;
  return policy === "open" ? FailPolicyMessage.OPEN : FailPolicyMessage.CLOSED;
}

export function handlerToMessage(handler: Handler): MessageInitShape<typeof HandlerSpecSchema> {
  const { writtenKind, adapter, adapterAt, parameters, connection, timeoutMs } = handler;
  return {
    writtenKind,
    adapter,
    adapterAt: placeToMessage(adapterAt),
    parameters: parameters.json,
    parameterPlaces: placesToMessage(parameters.positions),
    ...(connection && { connection }),
    failPolicy: failPolicyToMessage(handler.failPolicy),
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
}

export function handlerFromMessage(message: HandlerSpec | undefined, places: PlaceReader): Handler {
  const { connection, failPolicy, timeoutMs } = message ?? {};
  return {
    writtenKind: message?.writtenKind ?? "handler",
    adapter: message?.adapter ?? "",
    adapterAt: places.position(message?.adapterAt),
    parameters: {
      json: message?.parameters || "{}",
      positions: places.positions(message?.parameterPlaces ?? []),
    },
    ...(connection && {
      connection: { address: connection.address, timeoutMs: connection.timeoutMs },
    }),
    ...(failPolicy === FailPolicyMessage.OPEN && { failPolicy: "open" as const }),
    ...(failPolicy === FailPolicyMessage.CLOSED && { failPolicy: "closed" as const }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
}

export function instanceToMessage(instance: Instance): MessageInitShape<typeof InstanceSpecSchema> {
  const { writtenKind, template, templateAt, fields, positions, attributeBindings } = instance;
  return {
    writtenKind,
    template,
    templateAt: placeToMessage(templateAt),
    fields: fieldsToMessage(fields),
    fieldPlaces: placesToMessage(positions),
    attributeBindings: Object.entries(attributeBindings).map(([name, expression]) => ({
      name,
      expression: expressionToMessage(expression),
    })),
  };
}

export function instanceFromMessage(
  message: InstanceSpec | undefined,
  places: PlaceReader,
): Instance {
  const bindings = message?.attributeBindings ?? [];
  return {
    writtenKind: message?.writtenKind ?? "instance",
    template: message?.template ?? "",
    templateAt: places.position(message?.templateAt),
    fields: fieldsFromMessage(message?.fields ?? [], places),
    positions: places.positions(message?.fieldPlaces ?? []),
    attributeBindings: Object.fromEntries(
      bindings.map(({ name, expression }) => [name, places.expression(expression)]),
    ),
  };
}

type FieldInit = MessageInitShape<typeof InstanceSpec_FieldSchema>;

function fieldsToMessage(fields: InstanceFields): FieldInit[] {
  return Object.entries(fields).map(
    ([name, value]): FieldInit => ({
      name,
      value: isExpressionText(value)
        ? { case: "expression", value: expressionToMessage(value) }
        : { case: "group", value: { fields: fieldsToMessage(value) } },
    }),
  );
}

/** Messages nest no deeper than their decoder allows. */
function fieldsFromMessage(
  fields: readonly InstanceSpec_Field[],
  places: PlaceReader,
): InstanceFields {
  return Object.fromEntries(
    fields.map(({ name, value }) => [
      name,
      value.case === "group"
        ? fieldsFromMessage(value.value.fields, places)
        : places.expression(value.value),
    ]),
  );
}
