/**
 * Templates: the forms in which facts of an exchange are handed to adapters. Data, from which the
 * types of instances follow. Spec table: mixer 4.
 *
 * A field is of a fixed type, or VALUE: of any type, and then it carries it. A field whose
 * expression is left out is absent from the instance.
 */
import type { TypedValue, ValueOf, ValueType } from "../attribute/value.ts";

export type Variety = "check" | "report" | "quota" | "generator";

export type FieldType =
  | ValueType
  | "VALUE"
  /** A map of such values, under keys that the author chose. */
  | "VALUE_MAP"
  /** Fields of their own. */
  | Fields;

export interface Fields {
  readonly [name: string]: FieldType;
}

export interface Template {
  readonly variety: Variety;
  readonly fields: Fields;
  /** Of a generator: what `$out.name` may refer to. Of a check: `action.output.name`. */
  readonly output?: Readonly<Record<string, ValueType>>;
}

const monitoredResource = {
  monitoredResourceType: "STRING",
  monitoredResourceDimensions: "VALUE_MAP",
} as const;

const workloadOutput = {
  PodUid: "STRING",
  PodIp: "IP_ADDRESS",
  PodName: "STRING",
  Labels: "STRING_MAP",
  Namespace: "STRING",
  ServiceAccountName: "STRING",
  HostIp: "IP_ADDRESS",
  WorkloadUid: "STRING",
  WorkloadName: "STRING",
  WorkloadNamespace: "STRING",
  Owner: "STRING",
} as const;

export const templates = {
  checknothing: { variety: "check", fields: {} },
  listentry: { variety: "check", fields: { value: "VALUE" } },
  authorization: {
    variety: "check",
    fields: {
      subject: { user: "STRING", groups: "STRING", properties: "VALUE_MAP" },
      action: {
        namespace: "STRING",
        service: "STRING",
        method: "STRING",
        path: "STRING",
        properties: "VALUE_MAP",
      },
    },
  },
  apikey: {
    variety: "check",
    fields: {
      api: "STRING",
      apiVersion: "STRING",
      apiOperation: "STRING",
      apiKey: "STRING",
      timestamp: "TIMESTAMP",
    },
  },
  quota: { variety: "quota", fields: { dimensions: "VALUE_MAP" } },
  metric: {
    variety: "report",
    fields: { value: "VALUE", dimensions: "VALUE_MAP", ...monitoredResource },
  },
  logentry: {
    variety: "report",
    fields: {
      variables: "VALUE_MAP",
      timestamp: "TIMESTAMP",
      severity: "STRING",
      ...monitoredResource,
    },
  },
  reportnothing: { variety: "report", fields: {} },
  tracespan: {
    variety: "report",
    fields: {
      traceId: "STRING",
      spanId: "STRING",
      parentSpanId: "STRING",
      spanName: "STRING",
      startTime: "TIMESTAMP",
      endTime: "TIMESTAMP",
      spanTags: "VALUE_MAP",
      httpStatusCode: "INT64",
      clientSpan: "BOOL",
      rewriteClientSpanId: "BOOL",
      sourceName: "STRING",
      sourceIp: "IP_ADDRESS",
      destinationName: "STRING",
      destinationIp: "IP_ADDRESS",
      requestSize: "INT64",
      requestTotalSize: "INT64",
      responseSize: "INT64",
      responseTotalSize: "INT64",
      apiProtocol: "STRING",
    },
  },
  edge: {
    variety: "report",
    fields: {
      timestamp: "TIMESTAMP",
      sourceWorkloadNamespace: "STRING",
      sourceWorkloadName: "STRING",
      sourceOwner: "STRING",
      sourceUid: "STRING",
      destinationWorkloadNamespace: "STRING",
      destinationWorkloadName: "STRING",
      destinationOwner: "STRING",
      destinationUid: "STRING",
      destinationServiceNamespace: "STRING",
      destinationServiceName: "STRING",
      contextProtocol: "STRING",
      apiProtocol: "STRING",
    },
  },
  kubernetes: {
    variety: "generator",
    fields: {
      sourceUid: "STRING",
      sourceIp: "IP_ADDRESS",
      destinationUid: "STRING",
      destinationIp: "IP_ADDRESS",
      destinationPort: "INT64",
    },
    output: {
      ...prefixed("source", workloadOutput),
      ...prefixed("destination", workloadOutput),
      destinationContainerName: "STRING",
    },
  },
} as const satisfies Readonly<Record<string, Template>>;

export type TemplateName = keyof typeof templates;

/** What an expression of a VALUE field gave, with its type. */
export type Dimensions = Readonly<Record<string, TypedValue>>;

type FormOf<F> = F extends ValueType
  ? ValueOf[F]
  : F extends "VALUE"
    ? TypedValue
    : F extends "VALUE_MAP"
      ? Dimensions
      : { readonly [K in keyof F]?: FormOf<F[K]> };

/** What an adapter is given: one template's fields, and the full name of who wrote them down. */
export type Instance<T extends TemplateName> = {
  /** `name.kind.namespace`, the key by which an adapter's parameters refer to it. */
  readonly name: string;
} & {
  readonly [K in keyof (typeof templates)[T]["fields"]]?: FormOf<
    (typeof templates)[T]["fields"][K]
  >;
};

/** One of any template; `template` tells which. */
export type AnyInstance = {
  readonly [T in TemplateName]: { readonly template: T } & Instance<T>;
}[TemplateName];

type Prefixed<P extends string, F> = { readonly [K in keyof F & string as `${P}${K}`]: F[K] };

function prefixed<P extends string, F extends object>(prefix: P, fields: F): Prefixed<P, F> {
  const entries = Object.entries(fields).map(([name, type]) => [`${prefix}${name}`, type]);
  return Object.fromEntries(entries) as Prefixed<P, F>;
}
