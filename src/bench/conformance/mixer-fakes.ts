/**
 * The adapters and templates that the original's tests were written for (acheck with tcheck, and so
 * on), as ours: what they answer is told by the case, one result after the other.
 */
import { parseAllDocuments } from "yaml";
import type { ValueType } from "../../attribute/value.ts";
import { formatProblem, isError } from "../../core/problem.ts";
import { declaredPolicy } from "../../dialect/policy/policy-set.ts";
import { readDocuments } from "../../dialect/read.ts";
import { camelCase } from "../../dialect/schema/message.ts";
import type { Config } from "../../model/config.ts";
import { type Adapter, type LocalHandler, localAdapter } from "../../policy/adapter.ts";
import { type Resolved, resolvePolicy } from "../../policy/resolve.ts";
import type { Fields, Template, TemplateName, Variety } from "../../policy/template.ts";

const adapterTemplates: Readonly<Record<string, readonly string[]>> = {
  acheck: ["tcheck", "thalt"],
  acheckoutput: ["tcheckoutput"],
  areport: ["treport"],
  aquota: ["tquota"],
  apa: ["tapa"],
};

const varieties: Readonly<Record<string, Variety>> = {
  tcheck: "check",
  thalt: "check",
  tcheckoutput: "check",
  treport: "report",
  tquota: "quota",
  tapa: "generator",
};

const outputs: Readonly<Record<string, Readonly<Record<string, ValueType>>>> = {
  tcheckoutput: { value: "STRING" },
  tapa: { "generated.string": "STRING" },
};

/** The attributes of the original's tests. */
export const fakeAttributes: Readonly<Record<string, ValueType>> = {
  ident: "STRING",
  "source.name": "STRING",
  "destination.name": "STRING",
  "destination.namespace": "STRING",
  "response.count": "INT64",
  "attr.bool": "BOOL",
  "attr.string": "STRING",
  "attr.double": "DOUBLE",
  "attr.int64": "INT64",
  "prefix.generated.string": "STRING",
};

interface Written {
  readonly kind?: string;
  readonly spec?: Readonly<Record<string, unknown>> | null;
}

export interface FakeAnswers {
  /** Of the handlers of an adapter; throws if they cannot be opened. */
  readonly open: (adapter: string) => Partial<LocalHandler>;
  readonly attributes?: Readonly<Record<string, ValueType>>;
}

/** Documents as the cases have them ─▶ policy. What cannot be read at all is thrown. */
export function resolveFakes(
  documents: readonly string[],
  { open, attributes = {} }: FakeAnswers,
): Resolved {
  const written = documents.flatMap((text) =>
    parseAllDocuments(text).flatMap((one) => ("toJSON" in one ? [one.toJSON() as Written] : [])),
  );
  const objects = written.filter((one) => one !== null);
  const manifest = {
    apiVersion: "config.istio.io/v1alpha2",
    kind: "attributemanifest",
    metadata: { name: "fakes", namespace: "istio-system" },
    spec: {
      attributes: Object.fromEntries(
        Object.entries({ ...fakeAttributes, ...attributes }).map(([name, valueType]) => [
          name,
          { valueType },
        ]),
      ),
    },
  };
  const configs = [manifest, ...objects].flatMap((one) => read(one));
  return resolvePolicy(
    declaredPolicy(configs),
    { adapters: adaptersOf(open), templates: templatesOf(objects) },
    { rootNamespace: "istio-system" },
  );
}

function adaptersOf(open: FakeAnswers["open"]): Adapter[] {
  return Object.entries(adapterTemplates).map(([name, templates]) =>
    localAdapter({
      name,
      templates: templates as readonly string[] as readonly TemplateName[],
      read: () => ({}),
      open: () => ({ close() {}, ...open(name) }),
    }),
  );
}

/** A fake template takes whatever fields its instances have. */
function templatesOf(objects: readonly Written[]): Readonly<Record<string, Template>> {
  return Object.fromEntries(
    Object.entries(varieties).map(([name, variety]) => {
      const fields: Fields = Object.fromEntries(
        objects
          .filter(({ kind }) => kind === name)
          .flatMap(({ spec }) => Object.keys(spec ?? {}))
          .map((field) => [camelCase(field), "VALUE"]),
      );
      const output = outputs[name];
      return [name, output === undefined ? { variety, fields } : { variety, fields, output }];
    }),
  );
}

/** Kinds that are called after an adapter or a template, by the names they have today. */
function read(object: Written): readonly Config[] {
  const { kind = "", spec } = object;
  const isHandler = Object.hasOwn(adapterTemplates, kind);
  const isInstance = Object.hasOwn(varieties, kind);
  const today = isHandler
    ? { ...object, kind: "handler", spec: { compiledAdapter: kind, params: {} } }
    : isInstance
      ? { ...object, kind: "instance", spec: instanceSpec(kind, spec ?? {}) }
      : object;
  const text = JSON.stringify(today);
  const { configs, problems } = readDocuments(text, { file: "case", namespace: "default" });
  const errors = problems.filter(isError).map(formatProblem);
  if (errors.length > 0) throw new Error(errors.join("; "));
  return configs.map((config) =>
    config.kind === "handler" || config.kind === "instance"
      ? ({ ...config, spec: { ...config.spec, writtenKind: kind } } as Config)
      : config,
  );
}

function instanceSpec(template: string, spec: Readonly<Record<string, unknown>>): unknown {
  const { attribute_bindings: old, attributeBindings = old, ...params } = spec;
  return {
    compiledTemplate: template,
    params,
    ...(attributeBindings ? { attributeBindings } : {}),
  };
}
