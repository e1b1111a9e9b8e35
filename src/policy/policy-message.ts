/**
 * A PolicySet as the manager sends it, and back. What comes out is what went in, with the standard
 * manifests beneath, which everybody has: they are not sent.
 */
import { create } from "@bufbuild/protobuf";
import {
  type AttributeManifest as ManifestMessage,
  type PolicyConfig,
  PolicyConfigSchema,
} from "../api/gen/mesh/v1/policy_pb.ts";
import { valueTypes } from "../attribute/value.ts";
import { withStandardManifests } from "../dialect/policy/policy-set.ts";
import type { AttributeManifest } from "../model/attribute-manifest.ts";
import type { Declared, PolicySet } from "../model/policy-set.ts";
import {
  handlerFromMessage,
  handlerToMessage,
  instanceFromMessage,
  instanceToMessage,
} from "./handler-message.ts";
import {
  declarationToMessage,
  declaredFromMessage,
  type PlaceReader,
  placeToMessage,
} from "./place-message.ts";
import { ruleFromMessage, ruleToMessage } from "./rule-message.ts";
import {
  apiSpecFromMessage,
  apiSpecToMessage,
  bindingFromMessage,
  bindingToMessage,
  quotaSpecFromMessage,
  quotaSpecToMessage,
} from "./spec-message.ts";

/** Of a set without standard manifests. */
export function policyToMessage(set: PolicySet): PolicyConfig {
  return create(PolicyConfigSchema, {
    manifests: set.manifests.map((one) => named(one, manifestToMessage(one.spec))),
    handlers: set.handlers.map((one) => named(one, { spec: handlerToMessage(one.spec) })),
    instances: set.instances.map((one) => named(one, { spec: instanceToMessage(one.spec) })),
    rules: set.rules.map((one) => named(one, ruleToMessage(one.spec))),
    quotaSpecs: set.quotaSpecs.map((one) => named(one, quotaSpecToMessage(one.spec))),
    quotaSpecBindings: set.quotaSpecBindings.map((one) => named(one, bindingToMessage(one.spec))),
    httpApiSpecs: set.httpApiSpecs.map((one) => named(one, apiSpecToMessage(one.spec))),
    httpApiSpecBindings: set.httpApiSpecBindings.map((one) =>
      named(one, bindingToMessage(one.spec)),
    ),
  });
}

export function policyFromMessage(message: PolicyConfig): PolicySet {
  return withStandardManifests({
    manifests: declared(message.manifests, manifestFromMessage),
    handlers: declared(message.handlers, ({ spec }, places) => handlerFromMessage(spec, places)),
    instances: declared(message.instances, ({ spec }, places) => instanceFromMessage(spec, places)),
    rules: declared(message.rules, ruleFromMessage),
    quotaSpecs: declared(message.quotaSpecs, quotaSpecFromMessage),
    quotaSpecBindings: declared(message.quotaSpecBindings, bindingFromMessage),
    httpApiSpecs: declared(message.httpApiSpecs, apiSpecFromMessage),
    httpApiSpecBindings: declared(message.httpApiSpecBindings, bindingFromMessage),
  });
}

function named<Fields extends object>(one: Declared<unknown>, fields: Fields) {
  return { declaration: declarationToMessage(one), ...fields };
}

function declared<
  Message extends { declaration?: Parameters<typeof declaredFromMessage>[0] },
  Spec,
>(
  messages: readonly Message[],
  read: (message: Message, places: PlaceReader) => Spec,
): readonly Declared<Spec>[] {
  return messages.map((message) =>
    declaredFromMessage(message.declaration, (places) => read(message, places)),
  );
}

/** Types by their numbers, which count from 1. */
function manifestToMessage({ revision, attributes }: AttributeManifest) {
  return {
    revision,
    attributes: attributes.map(({ name, type, description, at }) => ({
      name,
      type: valueTypes.indexOf(type) + 1,
      description,
      at: placeToMessage(at),
    })),
  };
}

/** An attribute of a type that is not known yet is none. */
function manifestFromMessage(message: ManifestMessage, places: PlaceReader): AttributeManifest {
  return {
    revision: message.revision,
    attributes: message.attributes.flatMap(({ name, type: number, description, at }) => {
      const type = valueTypes[number - 1];
      return type === undefined ? [] : [{ name, type, description, at: places.position(at) }];
    }),
  };
}
