/**
 * Policy of Istio 0.1 ─▶ rules of today. Each aspect becomes a rule of its own with a handler and
 * instances in place, called after its document: "reviews.default.svc.cluster.local[2]".
 *
 *   match   the called proxy tells · the subject · no closer subject has such an aspect · selectors
 *
 * What an aspect refers to and nobody declared makes no rule; aspect-problem.ts tells of it.
 */
import type { Position } from "../../../core/problem.ts";
import type {
  Aspect,
  AspectKind,
  AspectRule,
  Expressions,
  MetricAspect,
  ServiceConfig,
} from "../../../model/aspect-config.ts";
import type { AttributeManifest } from "../../../model/attribute-manifest.ts";
import type { AspectAdapter, GlobalConfig } from "../../../model/global-config.ts";
import type { Handler } from "../../../model/handler.ts";
import type { ExpressionText, Instance, InstanceFields } from "../../../model/instance.ts";
import { inlineName, type PolicyRule } from "../../../model/policy-rule.ts";
import type { Declared } from "../../../model/policy-set.ts";
import { formatDuration } from "../../../model/validate-duration.ts";
import { attributeToday, expressionToday } from "./aspect-expression.ts";
import { adapterOf, convertParameters } from "./impl.ts";
import { CloserSubjects, conditionOf, exclusionOf, namespaceOf } from "./subject.ts";

type Service = Declared<ServiceConfig>;
type Global = Declared<GlobalConfig>;

/** Named apart from the standard ones, whose places they do not take. */
export function aspectManifests(
  globals: readonly Global[],
): readonly Declared<AttributeManifest>[] {
  return globals.flatMap(({ name: global, namespace, origin, spec }) =>
    spec.manifests.map(({ name, revision, attributes }) => ({
      name: `${global}:${name}`,
      namespace,
      origin,
      spec: {
        revision,
        attributes: attributes.map((one) => ({ ...one, name: attributeToday(one.name) })),
      },
    })),
  );
}

export function aspectRules(
  services: readonly Service[],
  globals: readonly Global[],
): readonly Declared<PolicyRule>[] {
  const subjects = new CloserSubjects();
  for (const { spec } of services)
    for (const { aspect } of placedAspects(spec)) subjects.add(spec, aspect.kind);
  return services.flatMap((service) => {
    const namespace = namespaceOf(service.spec.subject);
    return placedAspects(service.spec).flatMap(({ aspect, selectors }, i) => {
      const name = `${service.name}[${i}]`;
      const spec = ruleOf(aspect, { name, namespace, globals });
      if (spec === undefined) return [];
      const excluded = subjects.within(service.spec, aspect.kind).map(exclusionOf);
      const conditions = [inbound, conditionOf(service.spec.subject), ...excluded];
      const match = matchOf(conditions, selectors, aspect.at);
      return [{ name, namespace, origin: aspect.at, spec: { ...spec, match } }];
    });
  });
}

interface PlacedAspect {
  readonly aspect: Aspect;
  /** Its rule's and those of the rules around it. */
  readonly selectors: readonly ExpressionText[];
}

/** In the order of the text. */
export function placedAspects({ rules }: Pick<ServiceConfig, "rules">): readonly PlacedAspect[] {
  const walk = (rule: AspectRule, around: readonly ExpressionText[]): readonly PlacedAspect[] => {
    const selectors = rule.selector === undefined ? around : [...around, rule.selector];
    return [
      ...rule.aspects.map((aspect) => ({ aspect, selectors })),
      ...rule.rules.flatMap((inner) => walk(inner, selectors)),
    ];
  };
  return rules.flatMap((rule) => walk(rule, []));
}

/** Istio 0.1 asked at the called side only. */
const inbound = '(context.reporter.kind | "inbound") == "inbound"';

function matchOf(
  conditions: readonly string[],
  selectors: readonly ExpressionText[],
  at: Position,
): ExpressionText {
  const parts = [
    ...conditions.filter((one) => one !== ""),
    ...selectors.map((selector) => `(${expressionToday(selector).source})`),
  ];
  return { source: parts.join(" && "), at: selectors.at(-1)?.at ?? at };
}

/** The adapter of that name that provides the kind: one that says so before one that does not. */
export function adapterFor(
  globals: readonly Global[],
  { adapter, kind }: { readonly adapter: string; readonly kind: AspectKind },
): AspectAdapter | undefined {
  const named = globals
    .flatMap(({ spec }) => spec.adapters)
    .filter((one) => one.name === adapter && provides(one, kind));
  return named.find((one) => one.kind === kind) ?? named.find((one) => one.kind === undefined);
}

const provided: Readonly<Record<AspectKind, readonly string[]>> = {
  "access-logs": ["stdio", "noop"],
  "application-logs": ["stdio", "noop"],
  attributes: ["kubernetesenv", "noop"],
  denials: ["denier", "noop"],
  lists: ["listchecker", "noop"],
  metrics: ["prometheus", "statsd", "noop"],
  quotas: ["memquota", "redisquota", "noop"],
};

function provides({ impl, kind }: AspectAdapter, wanted: AspectKind): boolean {
  const adapter = adapterOf(impl);
  if (kind !== undefined && kind !== wanted) return false;
  return adapter !== undefined && provided[wanted].includes(adapter);
}

interface Seat {
  readonly name: string;
  readonly namespace: string;
  readonly globals: readonly Global[];
}

/** Parameters that the aspect adds to the adapter's, and what is told. */
interface Parts {
  readonly added: Readonly<Record<string, unknown>>;
  readonly instances: readonly Instance[];
  readonly charge: number;
}

function ruleOf(aspect: Aspect, seat: Seat): PolicyRule | undefined {
  const found = adapterFor(seat.globals, aspect);
  if (found === undefined) return undefined;
  const adapter = adapterOf(found.impl)!;
  const { added, instances, charge } = partsOf(aspect, adapter, seat);
  if (instances.length === 0) return undefined;
  const handler: Handler = {
    writtenKind: "handler",
    adapter,
    adapterAt: found.at,
    parameters: convertParameters(found.impl, found.parameters, adapter === "noop" ? {} : added),
  };
  return {
    match: undefined,
    actions: [{ name: "", handler, instances, charge, at: aspect.at }],
    requestHeaders: [],
    responseHeaders: [],
    failPolicy: "closed",
  };
}

function partsOf(aspect: Aspect, adapter: string, seat: Seat): Parts {
  const nothing = { added: {}, charge: 0 };
  const { at } = aspect;
  switch (aspect.kind) {
    case "denials":
      return { ...nothing, instances: [instanceOf("checknothing", {}, at)] };
    case "lists": {
      const fields = { value: expressionToday(aspect.check) };
      const added = { blacklist: aspect.blacklist };
      return { ...nothing, added, instances: [instanceOf("listentry", fields, at)] };
    }
    case "quotas":
      return quotaParts(aspect, seat);
    case "metrics":
      return metricParts(aspect.metrics, adapter, seat);
    case "access-logs":
    case "application-logs": {
      const instances = aspect.logs.map((log) =>
        instanceOf(
          "logentry",
          {
            severity: log.severity ? expressionToday(log.severity) : { source: '"INFO"', at },
            timestamp: log.timestamp ? expressionToday(log.timestamp) : { source: clock, at },
            variables: today({
              logName: { source: JSON.stringify(aspect.logName), at },
              ...log.templateExpressions,
              ...log.labels,
            }),
          },
          log.at,
        ),
      );
      return { ...nothing, instances };
    }
    case "attributes":
      return { ...nothing, instances: [generatorOf(aspect)] };
    default:
      return aspect satisfies never;
  }
}

/** The proxy said when it happened; of a connection there is no request. */
const clock = "request.time | context.time";

function quotaParts({ quotas }: Extract<Aspect, { kind: "quotas" }>, seat: Seat): Parts {
  const known = quotas.filter((one) => isDescribed(seat.globals, "quotas", one.descriptor));
  return {
    added: {
      quotas: known.map(({ maxAmount, expirationMs }, i) => ({
        name: instanceName(seat, i),
        maxAmount,
        ...(expirationMs > 0 && { validDuration: formatDuration(expirationMs) }),
      })),
    },
    instances: known.map(({ labels, at }) =>
      instanceOf("quota", { dimensions: today(labels) }, at),
    ),
    // Its proxies asked for one of each request.
    charge: 1,
  };
}

function metricParts(metrics: readonly MetricAspect[], adapter: string, seat: Seat): Parts {
  const known = metrics.flatMap((metric) => {
    const descriptor = seat.globals
      .flatMap(({ spec }) => spec.metrics)
      .find(({ name }) => name === metric.descriptor);
    return descriptor === undefined ? [] : [{ metric, descriptor }];
  });
  const instances = known.map(({ metric: { value, labels, at } }) =>
    instanceOf("metric", { value: expressionToday(value), dimensions: today(labels) }, at),
  );
  const definitions = known.map(({ descriptor }, i) => ({
    instanceName: instanceName(seat, i),
    name: descriptor.name,
    namespace: "",
    description: descriptor.description,
    kind: descriptor.kind,
    ...(descriptor.buckets.json !== "{}" && { buckets: JSON.parse(descriptor.buckets.json) }),
    labelNames: Object.keys(descriptor.labels),
  }));
  if (adapter !== "statsd") return { added: { metrics: definitions }, instances, charge: 0 };
  const byName = definitions.map(({ instanceName: name, kind, name: exposed }) => [
    name,
    { type: kind, nameTemplate: exposed },
  ]);
  return { added: { metrics: Object.fromEntries(byName) }, instances, charge: 0 };
}

export function isDescribed(
  globals: readonly Global[],
  kind: "quotas" | "metrics" | "logs",
  name: string,
): boolean {
  return globals.some(({ spec }) => spec[kind].some((one) => one.name === name));
}

function generatorOf({ inputs, bindings, at }: Extract<Aspect, { kind: "attributes" }>): Instance {
  const fields = Object.entries(inputs).map(([name, expression]) => [
    outputToday(name),
    expressionToday(expression),
  ]);
  const bound = Object.entries(bindings).map(([attribute, output]) => [
    attributeToday(attribute),
    { source: `$out.${outputToday(output)}`, at },
  ]);
  return {
    ...instanceOf("kubernetes", Object.fromEntries(fields), at),
    attributeBindings: Object.fromEntries(bound),
  };
}

/** "destinationUid" of "targetUid". */
function outputToday(name: string): string {
  return name.replace(/^target(?=[A-Z_])/, "destination");
}

function instanceName({ name, namespace }: Seat, instance: number): string {
  return `${inlineName(name, 0, instance)}.instance.${namespace}`;
}

function today(expressions: Expressions): Expressions {
  return Object.fromEntries(
    Object.entries(expressions).map(([key, one]) => [key, expressionToday(one)]),
  );
}

function instanceOf(template: string, fields: InstanceFields, at: Position): Instance {
  return {
    writtenKind: "instance",
    template,
    templateAt: at,
    fields,
    positions: {},
    attributeBindings: {},
  };
}
