/**
 * Resources with the adapters and templates of a test ─▶ what is left of them. Adapters and
 * templates that a case declares as resources are part of what may be spoken of; what is wrong with
 * those resources themselves is not judged, since ours are compiled in.
 */
import { fromBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  FieldDescriptorProto_Type,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import type { ValueType } from "../../attribute/value.ts";
import type { Handler } from "../../model/handler.ts";
import type { Instance, InstanceFields } from "../../model/instance.ts";
import type { Action, PolicyRule } from "../../model/policy-rule.ts";
import type { Declared, PolicySet } from "../../model/policy-set.ts";
import { type Adapter, localAdapter } from "../../policy/adapter.ts";
import { type Resolved, resolvePolicy } from "../../policy/resolve.ts";
import { fullNames } from "../../policy/resolve-name.ts";
import type { Fields, FieldType, Template, TemplateName } from "../../policy/template.ts";
import { fromBase64, readVectors } from "./http-vector.ts";
import { differenceOf } from "./mixer-config-problem.ts";
import { type Suite, type SuiteResult, Verdicts } from "./suite.ts";

interface Event {
  readonly op?: "update" | "delete";
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly spec?: unknown;
}

interface Case {
  readonly name: string;
  readonly templates: "std" | "none";
  readonly adapters: "std" | "none";
  readonly initial?: readonly Event[];
  readonly events1?: readonly Event[];
  readonly events2?: readonly Event[];
  readonly expect_snapshot: string;
  readonly observed_errors?: readonly string[] | null;
}

function run(path: string): Promise<SuiteResult> {
  const verdicts = new Verdicts();
  for (const one of readVectors<{ cases: readonly Case[] }>(path).cases) {
    const why = reasonToSkip(one);
    if (why === undefined) verdicts.judge(one.name, judge(one));
    else verdicts.skip(one.name, why);
  }
  return Promise.resolve(verdicts.result());
}

function reasonToSkip({ observed_errors: errors }: Case): string | undefined {
  const said = (errors ?? []).join("\n");
  if (/^(?:adapter|template)='/m.test(said))
    return "adapters and templates are compiled in: there are no resources to judge";
  if (/: nil Value$/m.test(said)) return "the value is one that only the original's code has";
  if (/: invalid params block\.$/m.test(said)) return "null is absent, as in JSON of protobuf";
  return undefined;
}

function judge(one: Case): string | undefined {
  const resources = resourcesOf(one);
  const resolved = new World(one, resources).resolve();
  const { observed_errors: errors } = one;
  return (
    differenceOf(resolved.problems, (errors ?? []).map(plainText)) ??
    judgeSnapshot(resolved, resources, one)
  );
}

/** What is wrong with a field of a template that was declared, in the words for others. */
function plainText(text: string): string {
  const [, instance, rest = ""] =
    /^(instance='[^']*')\.params: config does not conform.*?(fieldEncoder '.*|unknown.*)$/.exec(
      text,
    ) ?? [];
  if (instance === undefined) return text;
  const [, unknown] = /^fieldEncoder '(.*)' not found in message/.exec(rest) ?? [];
  const [, encoded = ""] = /unable to encode fieldEncoder (\w+):/.exec(text) ?? [];
  const field = (unknown ?? encoded).replace(/^./, (letter) => letter.toUpperCase());
  const message = unknown === undefined ? rest : "unknown field";
  return `${instance}: failed to evaluate expression for field '${field}'; ${message}`;
}

function resourcesOf({ initial = [], events1 = [], events2 = [] }: Case): readonly Event[] {
  const resources = new Map<string, Event>();
  for (const event of [...initial, ...events1, ...events2]) {
    const key = nameOf(event);
    if (event.op === "delete") resources.delete(key);
    else resources.set(key, event);
  }
  return [...resources.values()];
}

function nameOf({ name, kind, namespace }: Event): string {
  return `${name}.${kind}.${namespace}`;
}

const at = { file: "vectors", line: 0, column: 0 };
const known: Readonly<Record<string, readonly string[]>> = {
  adapter1: ["check", "report"],
  adapter2: ["check", "report", "quota", "apa"],
};
const standard: Readonly<Record<string, Template>> = {
  apa: { variety: "generator", fields: {}, output: { attr: "BOOL" } },
  check: { variety: "check", fields: {} },
  quota: { variety: "quota", fields: {} },
  report: { variety: "report", fields: {} },
};

/** What one case declares, and what it may speak of. */
class World {
  readonly #resources: readonly Event[];
  readonly #templates = new Map<string, Template>();
  readonly #adapters = new Map<string, Adapter>();

  constructor({ templates, adapters }: Case, resources: readonly Event[]) {
    this.#resources = resources;
    if (templates === "std")
      for (const [name, template] of Object.entries(standard)) this.#templates.set(name, template);
    if (adapters === "std")
      for (const [name, takes] of Object.entries(known)) this.#addAdapter(name, takes);
    for (const one of resources)
      if (one.kind === "template") this.#templates.set(nameOf(one), templateOf(one));
    for (const one of resources)
      if (one.kind === "adapter") {
        const { templates: names = [] } = one.spec as { templates?: readonly string[] };
        const takes = names.map((name) => this.#follow(name, "template", one.namespace));
        this.#addAdapter(nameOf(one), takes);
      }
  }

  resolve(): Resolved {
    const templates = Object.fromEntries(this.#templates);
    const inventory = { adapters: [...this.#adapters.values()], templates };
    return resolvePolicy(this.#set(), inventory, { rootNamespace: "istio-system" });
  }

  #addAdapter(name: string, takes: readonly string[]): void {
    const templates = takes as readonly TemplateName[];
    const open = () => ({ close: () => undefined });
    this.#adapters.set(name, localAdapter({ name, templates, read: () => ({}), open }));
  }

  #set(): PolicySet {
    const declared = <Spec>(
      kinds: (kind: string) => boolean,
      read: (one: Event) => Spec,
    ): Declared<Spec>[] =>
      this.#resources
        .filter(({ kind }) => kinds(kind))
        .map((one) => ({
          name: one.name,
          namespace: one.namespace,
          origin: at,
          spec: read(one),
        }));
    return {
      manifests: declared(
        (kind) => kind === "attributemanifest",
        ({ spec }) => {
          const { attributes } = spec as {
            attributes: Readonly<Record<string, { readonly valueType: ValueType }>>;
          };
          const list = Object.entries(attributes).map(([name, { valueType: type }]) => ({
            name,
            type,
            description: "",
            at,
          }));
          return { revision: "", attributes: list };
        },
      ),
      handlers: declared(
        (kind) => kind === "handler" || Object.hasOwn(known, kind),
        (one) => this.#handler(one),
      ),
      instances: declared(
        (kind) => kind === "instance" || Object.hasOwn(standard, kind),
        (one) => this.#instance(one),
      ),
      rules: declared((kind) => kind === "rule", ruleOf),
      quotaSpecs: [],
      quotaSpecBindings: [],
      httpApiSpecs: [],
      httpApiSpecBindings: [],
    };
  }

  #handler({ kind, namespace, spec }: Event): Handler {
    const parameters = { json: "{}", positions: {} };
    if (kind !== "handler") return { writtenKind: kind, adapter: kind, adapterAt: at, parameters };
    const { adapter, compiledAdapter = "" } = spec as Readonly<Record<string, string>>;
    const name =
      adapter === undefined ? compiledAdapter : this.#follow(adapter, "adapter", namespace);
    return { writtenKind: kind, adapter: name, adapterAt: at, parameters };
  }

  #instance({ kind, namespace, spec }: Event): Instance {
    const rest = { writtenKind: kind, templateAt: at, positions: {}, attributeBindings: {} };
    if (kind !== "instance") return { ...rest, template: kind, fields: {} };
    const {
      template,
      compiledTemplate = "",
      params = {},
    } = spec as {
      readonly template?: string;
      readonly compiledTemplate?: string;
      readonly params?: Readonly<Record<string, unknown>>;
    };
    const name =
      template === undefined ? compiledTemplate : this.#follow(template, "template", namespace);
    return { ...rest, template: name, fields: fieldsOf(params) };
  }

  /** The full name of what is there, else what was written. */
  #follow(reference: string, kind: "adapter" | "template", namespace: string): string {
    const table = kind === "adapter" ? this.#adapters : this.#templates;
    const names = fullNames(reference, kind, namespace);
    return names.find((name) => table.has(name)) ?? reference;
  }
}

function fieldsOf(params: Readonly<Record<string, unknown>>): InstanceFields {
  const entries = Object.entries(params).map(([name, value]) => [
    name,
    typeof value === "object" && value !== null
      ? fieldsOf(value as Readonly<Record<string, unknown>>)
      : { source: String(value), at },
  ]);
  return Object.fromEntries(entries) as InstanceFields;
}

function ruleOf({ spec }: Event): PolicyRule {
  const { match, actions = [] } = spec as {
    readonly match?: string;
    readonly actions?: readonly {
      readonly handler: string;
      readonly instances?: readonly string[];
    }[];
  };
  return {
    match: match === undefined ? undefined : { source: match, at },
    actions: actions.map(
      ({ handler, instances = [] }): Action => ({
        name: "",
        handler: { name: handler, at },
        instances: instances.map((name) => ({ name, at })),
        charge: 0,
        at,
      }),
    ),
    requestHeaders: [],
    responseHeaders: [],
    failPolicy: "closed",
  };
}

/** The message that holds the fields of an instance, of a template that came as a resource. */
function templateOf({ spec }: Event): Template {
  const { descriptor } = spec as { readonly descriptor: string };
  const { file } = fromBinary(FileDescriptorSetSchema, inflated(fromBase64(descriptor)));
  const messages = file.flatMap(({ messageType }) => messageType);
  const message = messages.find(({ name }) => name === "InstanceMsg" || name === "Template");
  return { variety: "report", fields: message === undefined ? {} : messageFields(message) };
}

function inflated(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? Bun.gunzipSync(new Uint8Array(bytes)) : bytes;
}

const scalars: ReadonlyMap<FieldDescriptorProto_Type, FieldType> = new Map<
  FieldDescriptorProto_Type,
  FieldType
>([
  [FieldDescriptorProto_Type.STRING, "STRING"],
  [FieldDescriptorProto_Type.INT64, "INT64"],
  [FieldDescriptorProto_Type.DOUBLE, "DOUBLE"],
  [FieldDescriptorProto_Type.BOOL, "BOOL"],
]);

function messageFields({ field }: DescriptorProto): Fields {
  return Object.fromEntries(
    field
      .filter(({ name }) => name !== "name")
      .map(({ jsonName, name, type }) => [jsonName || name, scalars.get(type) ?? "VALUE"]),
  );
}

const section =
  /((?:Handler|Instance)sStatic|(?:Adapter|Template|Handler|Instance)sDynamic|Rules|Attributes):/;

/** Names and what they lead to; parameters are the adapter's and template's own. */
function judgeSnapshot(
  { policy, problems }: Resolved,
  resources: readonly Event[],
  { expect_snapshot: dump, observed_errors: errors, templates }: Case,
): string | undefined {
  const sections = new Map<string, string>();
  const parts = dump.split(section);
  for (let i = 1; i < parts.length; i += 2) sections.set(parts[i]!, parts[i + 1] ?? "");
  const named = (...titles: readonly string[]): readonly string[] =>
    titles.flatMap((title) =>
      [...(sections.get(title) ?? "").matchAll(/Name:\s*(\S+)\s+(?:Adapter|Template):/g)].map(
        ([, name = ""]) => name,
      ),
    );
  const broken = new Set(problems.map(({ object }) => object));
  const whole = (kinds: (kind: string) => boolean): readonly string[] =>
    resources.filter((one) => kinds(one.kind) && !broken.has(nameOf(one))).map(nameOf);
  const attributes = policy.vocabulary.attributes.map(({ name, type }) => `${name}: ${type}`);
  return (
    differs(
      "handlers",
      whole((kind) => kind === "handler" || Object.hasOwn(known, kind)),
      named("HandlersStatic", "HandlersDynamic").map(withKind),
    ) ??
    differs(
      "instances",
      whole((kind) => kind === "instance" || Object.hasOwn(standard, kind)),
      named("InstancesStatic", "InstancesDynamic"),
    ) ??
    differs("rules", policy.rules.map(ruleText), rulesIn(sections.get("Rules") ?? "", errors)) ??
    differs(
      "attributes",
      templates === "std" ? [...attributes, "template.attr: BOOL"] : attributes,
      [...(sections.get("Attributes") ?? "").matchAll(/(\S+): (\w+)/g)].map(([text]) => text),
    )
  );
}

/** A handler of a compiled adapter is shown without its kind, and referred to with it. */
function withKind(name: string): string {
  return name.split(".").length === 2 ? name.replace(".", ".handler.") : name;
}

function differs(
  what: string,
  ours: readonly string[],
  wanted: readonly string[],
): string | undefined {
  const [a, b] = [ours.toSorted().join(" · "), wanted.toSorted().join(" · ")];
  return a === b ? undefined : `${what}: ${a}, not ${b}`;
}

function ruleText({ name, namespace, actions }: Resolved["policy"]["rules"][number]): string {
  const parts = actions.map(
    ({ handler, instances }) => `${handler.name}(${instances.map((one) => one.name).join()})`,
  );
  return [name, namespace, ...parts].join(" ");
}

/** A rule with a wrong condition is dropped by us here, and by the original where it routes. */
function rulesIn(text: string, errors: Case["observed_errors"]): readonly string[] {
  const rules = text.split(/(?=Name:\s*\S+\s+Namespace:)/).filter((part) => part.includes("Match"));
  return rules.flatMap((rule) => {
    const [, name = "", namespace = ""] = /Name:\s*(\S+)\s+Namespace:\s*(\S+)/.exec(rule) ?? [];
    if (errors?.some((one) => one.startsWith(`rule='${name}'.Match`))) return [];
    const actions = [...rule.matchAll(/Handler:\s*(\S+)\s+Instances:((?:\s*Name:\s*\S+)+)/g)].map(
      ([, handler = "", instances = ""]) => {
        const names = [...instances.matchAll(/Name:\s*(\S+)/g)].map(([, one]) => one);
        return `${withKind(handler)}(${names.join()})`;
      },
    );
    return [[name, namespace, ...actions].join(" ")];
  });
}

export const configSnapshotSuites: readonly Suite[] = [{ file: "mixer/config_snapshot.json", run }];
