/** Rules as messages and back. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  FailPolicy,
  PolicyRule_HeaderOperation_Operation as Operation,
  type PolicyRule_Action,
  type PolicyRule_ActionInstance,
  type PolicyRule_ActionInstanceSchema,
  type PolicyRule_ActionSchema,
  type PolicyRule_HeaderOperation,
  type PolicyRule_HeaderOperationSchema,
  type PolicyRule_Reference,
  type PolicyRuleSchema,
  type PolicyRule as RuleMessage,
} from "../api/gen/mesh/v1/policy_pb.ts";
import type {
  Action,
  HeaderOperation,
  PolicyRule,
  RandomSampling,
  RateSampling,
  Reference,
  Sampling,
} from "../model/policy-rule.ts";
import {
  failPolicyToMessage,
  handlerFromMessage,
  handlerToMessage,
  instanceFromMessage,
  instanceToMessage,
} from "./handler-message.ts";
import { expressionToMessage, type PlaceReader, placeToMessage } from "./place-message.ts";

type RuleInit = MessageInitShape<typeof PolicyRuleSchema>;

export function ruleToMessage(rule: PolicyRule): Omit<RuleInit, "$typeName"> {
  const { match, sampling, failPolicy } = rule;
  return {
    ...(match && { match: expressionToMessage(match) }),
    actions: rule.actions.map(actionToMessage),
    requestHeaders: rule.requestHeaders.map(headerToMessage),
    responseHeaders: rule.responseHeaders.map(headerToMessage),
    ...samplingToMessage(sampling),
    failPolicy: failPolicyToMessage(failPolicy),
  };
}

export function ruleFromMessage(message: RuleMessage, places: PlaceReader): PolicyRule {
  const { match } = message;
  const sampling = samplingFromMessage(message, places);
  return {
    match: match && places.expression(match),
    actions: message.actions.map((action) => actionFromMessage(action, places)),
    requestHeaders: message.requestHeaders.map((one) => headerFromMessage(one, places)),
    responseHeaders: message.responseHeaders.map((one) => headerFromMessage(one, places)),
    ...(sampling && { sampling }),
    failPolicy: message.failPolicy === FailPolicy.OPEN ? "open" : "closed",
  };
}

function referenceToMessage({ name, at }: Reference) {
  return { name, at: placeToMessage(at) };
}

function referenceFromMessage(message: PolicyRule_Reference, places: PlaceReader): Reference {
  return { name: message.name, at: places.position(message.at) };
}

function actionToMessage(action: Action): MessageInitShape<typeof PolicyRule_ActionSchema> {
  const { name, handler, instances, charge, at } = action;
  return {
    name,
    handler:
      "name" in handler
        ? { case: "handlerReference", value: referenceToMessage(handler) }
        : { case: "inlineHandler", value: handlerToMessage(handler) },
    instances: instances.map(
      (one): MessageInitShape<typeof PolicyRule_ActionInstanceSchema> => ({
        instance:
          "name" in one
            ? { case: "reference", value: referenceToMessage(one) }
            : { case: "inline", value: instanceToMessage(one) },
      }),
    ),
    charge: BigInt(charge),
    at: placeToMessage(at),
  };
}

function actionFromMessage(action: PolicyRule_Action, places: PlaceReader): Action {
  const { handler } = action;
  return {
    name: action.name,
    handler:
      handler.case === "inlineHandler"
        ? handlerFromMessage(handler.value, places)
        : handler.case === "handlerReference"
          ? referenceFromMessage(handler.value, places)
          : { name: "", at: places.position(action.at) },
    instances: action.instances.flatMap((one) => instanceOf(one, places)),
    charge: Number(action.charge),
    at: places.position(action.at),
  };
}

function instanceOf(
  { instance }: PolicyRule_ActionInstance,
  places: PlaceReader,
): Action["instances"] {
  if (instance.case === "inline") return [instanceFromMessage(instance.value, places)];
  return instance.case === "reference" ? [referenceFromMessage(instance.value, places)] : [];
}

const operations = {
  replace: Operation.REPLACE,
  remove: Operation.REMOVE,
  append: Operation.APPEND,
} as const;

function headerToMessage(
  header: HeaderOperation,
): MessageInitShape<typeof PolicyRule_HeaderOperationSchema> {
  const { name, values, operation, at } = header;
  return {
    name,
    values: values.map(expressionToMessage),
    operation: operations[operation],
    at: placeToMessage(at),
  };
}

function headerFromMessage(
  message: PolicyRule_HeaderOperation,
  places: PlaceReader,
): HeaderOperation {
  const { name, values, operation, at } = message;
  return {
    name,
    values: values.map((value) => places.expression(value)),
    operation:
      operation === Operation.REMOVE
        ? "remove"
        : operation === Operation.APPEND
          ? "append"
          : "replace",
    at: places.position(at),
  };
}

function samplingToMessage(
  sampling: Sampling | undefined,
): Pick<RuleInit, "randomSampling" | "rateSampling"> {
  switch (sampling?.by) {
    case undefined:
      return {};
    case "rate": {
      const { windowMs, unsampledMax, rate } = sampling;
      return { rateSampling: { windowMs, unsampledMax: BigInt(unsampledMax), rate: BigInt(rate) } };
    }
    case "random": {
      const { attribute, share, denominator, independent } = sampling;
      const random = { share, denominator, independent };
      if (attribute === undefined) return { randomSampling: random };
      return { randomSampling: { ...random, attribute: expressionToMessage(attribute) } };
    }
    case "both":
      return { ...samplingToMessage(sampling.random), ...samplingToMessage(sampling.rate) };
    default:
      return sampling satisfies never;
  }
}

function samplingFromMessage(message: RuleMessage, places: PlaceReader): Sampling | undefined {
  const random = message.randomSampling && randomFromMessage(message.randomSampling, places);
  const rate = message.rateSampling && rateFromMessage(message.rateSampling);
  if (random !== undefined && rate !== undefined) return { by: "both", random, rate };
  return random ?? rate;
}

function randomFromMessage(
  { attribute, share, denominator, independent }: NonNullable<RuleMessage["randomSampling"]>,
  places: PlaceReader,
): RandomSampling {
  return {
    by: "random",
    ...(attribute && { attribute: places.expression(attribute) }),
    share,
    denominator: denominator === 10_000 || denominator === 1_000_000 ? denominator : 100,
    independent,
  };
}

function rateFromMessage(message: NonNullable<RuleMessage["rateSampling"]>): RateSampling {
  const { windowMs, unsampledMax, rate } = message;
  return { by: "rate", windowMs, unsampledMax: Number(unsampledMax), rate: Number(rate) };
}
