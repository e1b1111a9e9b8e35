/** A small policy as the resolver would make it, for tests of what runs on it. */
import { type AttributeBag, MutableBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { TypedValue, ValueType } from "../attribute/value.ts";
import { Vocabulary } from "../attribute/vocabulary.ts";
import { compileExpression, type Expression } from "../expression/expression.ts";
import type { FailPolicy } from "../model/handler.ts";
import type { Adapter, Configured, LocalHandler, RemoteHandler } from "../policy/adapter.ts";
import { readParameters } from "../policy/read-parameters.ts";
import type {
  Binding,
  ResolvedHandler,
  ResolvedHeaderOperation,
  ResolvedInstance,
  ResolvedPolicy,
  ResolvedRule,
  ResolvedSampling,
} from "../policy/resolved-policy.ts";
import { type AnyInstance, type TemplateName, templates } from "../policy/template.ts";

/** Expressions by field; of a map by key. */
export type FieldTexts = Readonly<Record<string, string | Readonly<Record<string, string>>>>;

export interface InstanceText {
  readonly name: string;
  readonly template: TemplateName;
  readonly fields?: FieldTexts;
  /** Of a generator: attribute ─▶ field of the output. */
  readonly bindings?: Readonly<Record<string, string>>;
}

export interface HandlerText {
  readonly name: string;
  /** An adapter with its parameters, or what it would configure. */
  readonly configured: Configured;
  readonly signature?: string;
  readonly failPolicy?: FailPolicy;
  readonly timeoutMs?: number;
}

export interface RuleText {
  readonly name: string;
  readonly namespace?: string;
  readonly match?: string;
  readonly failPolicy?: FailPolicy;
  readonly sampling?: ResolvedSampling;
  readonly actions?: readonly {
    readonly handler: HandlerText;
    readonly instances: readonly InstanceText[];
    readonly charge?: number;
  }[];
  readonly requestHeaders?: readonly HeaderText[];
  readonly responseHeaders?: readonly HeaderText[];
  /** Slots of these are those beyond the vocabulary's, in order. */
  readonly outputs?: readonly { readonly action: number; readonly field: string }[];
}

export interface HeaderText {
  readonly name: string;
  readonly operation?: ResolvedHeaderOperation["operation"];
  readonly values?: readonly string[];
}

/** What an adapter makes of parameters that are fine. */
export function configured(adapter: Adapter, parameters: unknown = {}): Configured {
  const read = readParameters(adapter, JSON.stringify(parameters));
  if (read.configured !== undefined) return read.configured;
  throw new Error(read.problems.map(({ path, message }) => `${path}: ${message}`).join("\n"));
}

/** A handler that a test wrote. */
export function answering(handler: Partial<LocalHandler>): Configured {
  return { runsAt: "proxy", open: () => ({ close() {}, ...handler }) };
}

export function answeringRemotely(handler: Partial<RemoteHandler>): Configured {
  return { runsAt: "mixer", open: () => ({ close() {}, ...handler }) };
}

export class PolicyFixture {
  readonly vocabulary: Vocabulary;

  constructor(types: Readonly<Record<string, ValueType>>) {
    this.vocabulary = new Vocabulary(Object.entries(types));
  }

  bag(values: Readonly<Record<string, TypedValue["value"]>>): MutableBag {
    const bag = new MutableBag(this.vocabulary);
    for (const [name, value] of Object.entries(values))
      bag.setSlot(this.vocabulary.find(name)!.slot, value);
    return bag;
  }

  policy(rules: readonly RuleText[]): ResolvedPolicy {
    const handlers = new Map<string, ResolvedHandler>();
    const resolved = rules
      .map((rule) => this.#rule(rule, handlers))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    return {
      vocabulary: this.vocabulary,
      handlers: [...handlers.values()],
      rules: resolved,
      quotaSpecs: [],
      httpApiSpecs: [],
    };
  }

  expression(source: string, vocabulary = this.vocabulary): Expression {
    const compiled = compileExpression(source, vocabulary);
    if (compiled.ok) return compiled.expression;
    throw new Error(`${source}: ${compiled.problem.message}`);
  }

  #rule(rule: RuleText, handlers: Map<string, ResolvedHandler>): ResolvedRule {
    const { namespace = "istio-system", actions = [], outputs = [] } = rule;
    const { size } = this.vocabulary;
    const headers = (texts: readonly HeaderText[] = []): ResolvedHeaderOperation[] =>
      texts.map(({ name, operation = "replace", values = [] }) => ({
        name,
        operation,
        values: values.map((text) => this.#headerValue(text, size)),
      }));
    return {
      name: `${rule.name}.rule.${namespace}`,
      namespace,
      origin: { file: "rules.yaml", line: 1, column: 1 },
      match: rule.match === undefined ? undefined : this.expression(rule.match),
      failPolicy: rule.failPolicy ?? "closed",
      sampling: rule.sampling,
      actions: actions.map(({ handler, instances, charge = 0 }) => ({
        name: "",
        handler: handlerOf(handler, handlers),
        variety: templates[instances[0]!.template].variety,
        instances: instances.map((instance) => this.#instance(instance)),
        charge,
      })),
      requestHeaders: headers(rule.requestHeaders),
      responseHeaders: headers(rule.responseHeaders),
      outputs: outputs.map((output, i) => ({ ...output, slot: size + i })),
      runsAt: "proxy",
    };
  }

  /** "$0" reads the first of the outputs. */
  #headerValue(text: string, size: number): Expression {
    if (!text.startsWith("$")) return this.expression(text);
    const slot = size + Number(text.slice(1));
    const evaluate = (bag: AttributeBag) => bag.read(slot) ?? new Fault("no output");
    return { ...this.expression('"output"'), reads: new Set([slot]), evaluate };
  }

  #instance({ name, template, fields = {}, bindings = {} }: InstanceText): ResolvedInstance {
    const builders = Object.entries(fields).map(
      ([field, text]) => [field, this.#field(text, formOf(template, field))] as const,
    );
    const full = `${name}.instance.istio-system`;
    return {
      name: full,
      shortName: name,
      template,
      variety: templates[template].variety,
      reads: new Set(builders.flatMap(([, { reads }]) => [...reads])),
      build: (bag) => {
        const instance: Record<string, unknown> = { template, name: full };
        for (const [field, { build }] of builders) {
          const value = build(bag);
          if (value instanceof Fault) return value;
          instance[field] = value;
        }
        return instance as unknown as AnyInstance;
      },
      bindings: Object.entries(bindings).map(([attribute, output]): Binding => {
        const { slot } = this.vocabulary.find(attribute)!;
        return { slot, evaluate: (values) => values[output] };
      }),
    };
  }

  #field(text: FieldTexts[string], form: unknown): FieldBuilder {
    if (typeof text === "string") {
      const expression = this.expression(text);
      const { type, reads } = expression;
      const build = (bag: AttributeBag): unknown => {
        const value = expression.evaluate(bag);
        return form !== "VALUE" || value instanceof Fault ? value : { type, value };
      };
      return { reads, build };
    }
    const parts = Object.entries(text).map(
      ([key, part]) => [key, this.#field(part, "VALUE")] as const,
    );
    const build = (bag: AttributeBag): unknown => {
      const map: Record<string, unknown> = {};
      for (const [key, part] of parts) {
        const value = part.build(bag);
        if (value instanceof Fault) return value;
        map[key] = value;
      }
      return map;
    };
    return { reads: new Set(parts.flatMap(([, { reads }]) => [...reads])), build };
  }
}

interface FieldBuilder {
  readonly reads: ReadonlySet<number>;
  build(bag: AttributeBag): unknown;
}

function formOf(template: TemplateName, field: string): unknown {
  return (templates[template].fields as Readonly<Record<string, unknown>>)[field];
}

function handlerOf(text: HandlerText, known: Map<string, ResolvedHandler>): ResolvedHandler {
  const { configured, signature = "s", failPolicy, timeoutMs } = text;
  const name = `${text.name}.handler.istio-system`;
  const found = known.get(name);
  if (found !== undefined) return found;
  const handler: ResolvedHandler = {
    name,
    adapter: "fake",
    configured,
    signature,
    failPolicy,
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
  known.set(name, handler);
  return handler;
}
