/** Specs of policy in the canonical spelling of `config.istio.io`; short forms written in full. */
import { formatDuration as formatSpan } from "../attribute/duration.ts";
import { formatTimestamp } from "../attribute/timestamp.ts";
import type { AttributeManifest } from "../model/attribute-manifest.ts";
import type { Config, ConfigKind, ConfigOf } from "../model/config.ts";
import type { Handler } from "../model/handler.ts";
import type { ConstantAttribute, ConstantAttributes, HttpApiSpec } from "../model/http-api-spec.ts";
import {
  type ExpressionText,
  type Instance,
  type InstanceFields,
  isExpressionText,
} from "../model/instance.ts";
import type { Action, HeaderOperation, PolicyRule, Sampling } from "../model/policy-rule.ts";
import type { QuotaSpec, SpecBinding, StringMatch } from "../model/quota-spec.ts";
import { formatDuration } from "../model/validate-duration.ts";

type Json = Readonly<Record<string, unknown>>;

const policyKinds = [
  "rule",
  "handler",
  "instance",
  "attributemanifest",
  "QuotaSpec",
  "QuotaSpecBinding",
  "HTTPAPISpec",
  "HTTPAPISpecBinding",
] as const satisfies readonly ConfigKind[];

export type PolicyConfig = ConfigOf<(typeof policyKinds)[number]>;

export function isPolicy(config: Config): config is PolicyConfig {
  return (policyKinds as readonly ConfigKind[]).includes(config.kind);
}

export function policyJson(config: PolicyConfig): Json {
  switch (config.kind) {
    case "rule":
      return ruleJson(config.spec);
    case "handler":
      return handlerJson(config.spec);
    case "instance":
      return instanceJson(config.spec);
    case "attributemanifest":
      return manifestJson(config.spec);
    case "QuotaSpec":
      return quotaSpecJson(config.spec);
    case "QuotaSpecBinding":
      return { services: servicesJson(config.spec), quotaSpecs: specsJson(config.spec) };
    case "HTTPAPISpec":
      return apiSpecJson(config.spec);
    case "HTTPAPISpecBinding":
      return { services: servicesJson(config.spec), apiSpecs: specsJson(config.spec) };
    default:
      return config satisfies never;
  }
}

function ruleJson(rule: PolicyRule): Json {
  const { match, actions, requestHeaders, responseHeaders, sampling, failPolicy } = rule;
  return {
    ...(match && { match: match.source }),
    ...(actions.length > 0 && { actions: actions.map(actionJson) }),
    ...(requestHeaders.length > 0 && { requestHeaderOperations: requestHeaders.map(headerJson) }),
    ...(responseHeaders.length > 0 && {
      responseHeaderOperations: responseHeaders.map(headerJson),
    }),
    ...(sampling && { sampling: samplingJson(sampling) }),
    ...(failPolicy === "open" && { failPolicy }),
  };
}

function actionJson({ name, handler, instances, charge }: Action): Json {
  return {
    ...(name !== "" && { name }),
    handler: "name" in handler ? handler.name : handlerJson(handler),
    ...(instances.length > 0 && {
      instances: instances.map((one) => ("name" in one ? one.name : instanceJson(one))),
    }),
    ...(charge > 0 && { charge }),
  };
}

function headerJson({ name, values, operation }: HeaderOperation): Json {
  return {
    name,
    ...(values.length > 0 && { values: values.map(({ source }) => source) }),
    ...(operation !== "replace" && { operation: operation.toUpperCase() }),
  };
}

function samplingJson(sampling: Sampling): Json {
  if (sampling.by === "both")
    return { ...samplingJson(sampling.random), ...samplingJson(sampling.rate) };
  if (sampling.by === "rate") {
    const { windowMs, unsampledMax, rate } = sampling;
    return {
      rateLimit: {
        samplingDuration: formatDuration(windowMs),
        maxUnsampledEntries: unsampledMax,
        samplingRate: rate,
      },
    };
  }
  const { attribute, share, denominator, independent } = sampling;
  return {
    random: {
      ...(attribute && { attributeExpression: attribute.source }),
      percentSampled: {
        numerator: Math.round(share * denominator),
        denominator: denominator === 100 ? "HUNDRED" : "TEN_THOUSAND",
      },
      ...(independent && { useIndependentRandomness: true }),
    },
  };
}

function handlerJson(handler: Handler): Json {
  // Written by the reader of parameters, from a map of fields.
  const params = JSON.parse(handler.parameters.json) as Json;
  if (handler.writtenKind !== "handler") return params;
  const { adapter, connection, failPolicy, timeoutMs } = handler;
  return {
    compiledAdapter: adapter,
    ...(Object.keys(params).length > 0 && { params }),
    ...(connection && {
      connection: {
        address: connection.address,
        ...(connection.timeoutMs > 0 && { timeout: formatDuration(connection.timeoutMs) }),
      },
    }),
    ...(failPolicy && { failPolicy }),
    ...(timeoutMs !== undefined && { timeout: formatDuration(timeoutMs) }),
  };
}

function instanceJson(instance: Instance): Json {
  const params = fieldsJson(instance.fields);
  const bindings = sourcesJson(instance.attributeBindings);
  const attributeBindings = Object.keys(bindings).length > 0 && { attributeBindings: bindings };
  if (instance.writtenKind !== "instance") return { ...params, ...attributeBindings };
  return {
    compiledTemplate: instance.template,
    ...(Object.keys(params).length > 0 && { params }),
    ...attributeBindings,
  };
}

function fieldsJson(fields: InstanceFields): Json {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      isExpressionText(value) ? value.source : fieldsJson(value),
    ]),
  );
}

function sourcesJson(expressions: Readonly<Record<string, ExpressionText>>): Json {
  return Object.fromEntries(Object.entries(expressions).map(([key, { source }]) => [key, source]));
}

function manifestJson({ revision, attributes }: AttributeManifest): Json {
  const entries = attributes.map(({ name, type, description }) => [
    name,
    { ...(description !== "" && { description }), valueType: type },
  ]);
  return {
    ...(revision !== "" && { revision }),
    attributes: Object.fromEntries(entries),
  };
}

function quotaSpecJson({ rules }: QuotaSpec): Json {
  return {
    rules: rules.map(({ match, quotas }) => ({
      ...(match.length > 0 && { match: match.map(clauseJson) }),
      quotas: quotas.map(({ quota, charge }) => ({ quota, charge })),
    })),
  };
}

function clauseJson(match: Readonly<Record<string, StringMatch>>): Json {
  const entries = Object.entries(match).map(([name, one]) => [
    name,
    { [one.by]: one.by === "regex" ? one.pattern : one.text },
  ]);
  return { clause: Object.fromEntries(entries) };
}

function servicesJson({ services }: SpecBinding): readonly Json[] {
  return services.map((service) => ({ service }));
}

function specsJson({ specs }: SpecBinding): readonly Json[] {
  return specs.map(({ name, namespace }) => ({ name, namespace }));
}

function apiSpecJson({ attributes, patterns, apiKeys }: HttpApiSpec): Json {
  return {
    ...attributesJson(attributes),
    ...(patterns.length > 0 && {
      patterns: patterns.map(({ method, path, attributes: own }) => ({
        ...attributesJson(own),
        ...(method !== "" && { httpMethod: method }),
        ...(path.by === "template" ? { uriTemplate: path.template } : { regex: path.pattern }),
      })),
    }),
    ...(apiKeys.length > 0 && { apiKeys: apiKeys.map((key) => ({ [key.in]: key.name })) }),
  };
}

function constantJson(one: ConstantAttribute): Json {
  switch (one.type) {
    case "STRING":
      return { stringValue: one.value };
    case "INT64":
      return { int64Value: typeof one.value === "bigint" ? `${one.value}` : one.value };
    case "DOUBLE":
      return { doubleValue: one.value };
    case "BOOL":
      return { boolValue: one.value };
    case "IP_ADDRESS":
      return { bytesValue: one.value.toBase64() };
    case "TIMESTAMP":
      return { timestampValue: formatTimestamp(one.value) };
    case "DURATION":
      return { durationValue: formatSpan(one.value) };
    case "STRING_MAP":
      return { stringMapValue: { entries: Object.fromEntries(one.value.entries()) } };
  }
}

function attributesJson(attributes: ConstantAttributes): Json {
  const entries = Object.entries(attributes).map(([name, one]) => [name, constantJson(one)]);
  return entries.length === 0 ? {} : { attributes: { attributes: Object.fromEntries(entries) } };
}
