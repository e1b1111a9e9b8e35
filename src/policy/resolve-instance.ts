/**
 * What an instance says of each field of its template ─▶ a function that makes the template's
 * object of an exchange. All is decided here: `build` walks an array and makes that object.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { Value, ValueType } from "../attribute/value.ts";
import { camelCase } from "../dialect/schema/message.ts";
import type { Expression } from "../expression/expression.ts";
import type { ExpressionText, Instance, InstanceFields } from "../model/instance.ts";
import { KnownValues } from "./known-values.ts";
import { resolveBindings } from "./resolve-binding.ts";
import type { InstanceContext, Site } from "./resolve-context.ts";
import { constantOf } from "./resolve-expression.ts";
import { entryPath, type Subject, snakeCase } from "./resolve-problem.ts";
import type { ResolvedInstance } from "./resolved-policy.ts";
import type { AnyInstance, Fields, FieldType, TemplateName } from "./template.ts";

/** One that can be built, and the keys that its map has, if its template has one. */
export interface UsableInstance extends ResolvedInstance {
  readonly dimensions: readonly string[] | undefined;
}

/** Undefined after it has reported why. */
export function resolveInstance(
  instance: Instance,
  site: Site,
  context: InstanceContext,
): UsableInstance | undefined {
  const { templates, problems } = context;
  const template = Object.hasOwn(templates, instance.template)
    ? templates[instance.template]
    : undefined;
  if (template === undefined) {
    problems.error(site.subject, `${site.path}.template`, {
      at: instance.templateAt,
      message: `template '${instance.template}' not found`,
      suggestion: problems.didYouMean(instance.template, Object.keys(templates)),
    });
    return undefined;
  }
  const builder = new InstanceBuilder(instance, site.subject, context);
  const isOfKind = instance.writtenKind === "instance";
  const fields = builder.fields(
    instance.fields,
    template.fields,
    isOfKind ? `${site.path}.params` : site.path,
    "",
  );
  const bindings = resolveBindings(instance, template, site, context);
  if (fields === undefined || bindings === undefined) return undefined;
  for (const slot of bindings.reads) builder.reads.add(slot);
  return {
    name: site.name,
    shortName: site.shortName,
    template: instance.template as TemplateName,
    variety: template.variety,
    reads: builder.reads,
    build: builderOf(instance.template, site.name, fields, builder.reads.size === 0),
    bindings: bindings.bindings,
    dimensions: dimensionsOf(instance.fields, template.fields),
  };
}

/** Of an exchange: one field's value in the form that its type has, or why there is none. */
type Run = (bag: AttributeBag) => unknown;

interface Field {
  readonly key: string;
  readonly run: Run;
}

/** Of a map whose keys the author chose. */
interface Entry extends Field {
  readonly expression: Expression;
}

function builderOf(
  template: string,
  name: string,
  fields: readonly Field[],
  isConstant: boolean,
): (bag: AttributeBag) => AnyInstance | Fault {
  const build = (bag: AttributeBag): AnyInstance | Fault => {
    const instance: Record<string, unknown> = { template, name };
    for (let i = 0; i < fields.length; i++) {
      const { key, run } = fields[i]!;
      const value = run(bag);
      if (value instanceof Fault) return value;
      instance[key] = value;
    }
    // The template's table and the compiler agree on the form of each field.
    return instance as unknown as AnyInstance;
  };
  if (!isConstant) return build;
  const only = build({ read: () => undefined });
  return () => only;
}

class InstanceBuilder {
  readonly reads = new Set<number>();
  readonly #instance: Instance;
  readonly #subject: Subject;
  readonly #context: InstanceContext;

  constructor(instance: Instance, subject: Subject, context: InstanceContext) {
    this.#instance = instance;
    this.#subject = subject;
    this.#context = context;
  }

  /** `path` is for the author, `key` for `positions`. All problems, or all fields. */
  fields(
    written: InstanceFields,
    known: Fields,
    path: string,
    key: string,
  ): readonly Field[] | undefined {
    const fields = new Map<string, Field>();
    let isFine = true;
    for (const [name, value] of Object.entries(written)) {
      const at = new FieldPlace(entryPath(path, name), key === "" ? name : entryPath(key, name));
      const canonical = Object.hasOwn(known, name) ? name : camelCase(name);
      const type = Object.hasOwn(known, canonical) ? known[canonical] : undefined;
      let run: Run | undefined;
      if (type === undefined) this.#unknown(at, name, value, known);
      else if (fields.has(canonical))
        this.#error(at, value, `is given twice: it is another spelling of ${canonical}`);
      else if (isEmptyExpression(value)) continue;
      else run = this.#field(value, type, at);
      if (run === undefined) isFine = false;
      else fields.set(canonical, { key: canonical, run });
    }
    return isFine ? [...fields.values()] : undefined;
  }

  #field(value: ExpressionText | InstanceFields, type: FieldType, at: FieldPlace): Run | undefined {
    if (typeof type === "object") {
      if (isExpression(value)) return this.#error(at, value, "must be a map of fields");
      const fields = this.fields(value, type, at.path, at.key);
      return fields && objectOf(fields);
    }
    if (type === "VALUE_MAP") return this.#map(value, at);
    if (!isExpression(value)) return this.#error(at, value, "must be an expression");
    return this.#expression(value, type, at.path);
  }

  #map(value: ExpressionText | InstanceFields, at: FieldPlace): Run | undefined {
    if (isExpression(value)) return this.#error(at, value, "must be a map of expressions");
    const entries: Entry[] = [];
    let isFine = true;
    for (const [name, entry] of Object.entries(value)) {
      const entryAt = new FieldPlace(entryPath(at.path, name), entryPath(at.key, name));
      let expression: Expression | undefined;
      if (!isExpression(entry)) this.#error(entryAt, entry, "must be an expression");
      else if (name === "__proto__") this.#error(entryAt, entry, "cannot be a key");
      else if (entry.source.trim() === "") continue;
      else expression = this.#compiled(entry, "VALUE", entryAt.path);
      if (expression === undefined) isFine = false;
      else entries.push({ key: name, run: typed(expression), expression });
    }
    return isFine ? this.#shared(entries) : undefined;
  }

  /** Metrics of one request mostly have the same dimensions. */
  #shared(entries: readonly Entry[]): Run {
    const isCounted =
      this.#isCounted && entries.every(({ expression: { type } }) => countable.has(type));
    const sources = entries.map(({ key, expression: { source } }) => [key, source]);
    const { maps } = this.#context;
    const key = JSON.stringify([isCounted, sources]);
    const known = maps.get(key);
    if (known !== undefined) return known;
    const run = remembered(isCounted ? recurring(entries) : objectOf(entries));
    maps.set(key, run);
    return run;
  }

  #expression(text: ExpressionText, type: ValueType | "VALUE", path: string): Run | undefined {
    const expression = this.#compiled(text, type, path);
    if (expression === undefined) return undefined;
    return type === "VALUE" ? typed(expression) : (bag) => expression.evaluate(bag);
  }

  #compiled(text: ExpressionText, type: ValueType | "VALUE", path: string): Expression | undefined {
    const { expressions, problems } = this.#context;
    const place = { subject: this.#subject, path };
    const wants = type === "VALUE" ? undefined : type;
    const expression = expressions.compile(text, place, wants);
    if (expression === undefined) return undefined;
    const complaint = complaintOf(expression, wants);
    if (complaint !== undefined) {
      problems.error(this.#subject, path, { at: text.at, message: complaint });
      return undefined;
    }
    for (const slot of expression.reads) this.reads.add(slot);
    return expression;
  }

  /** Its map says by what it is counted, and so has few values. */
  get #isCounted(): boolean {
    return this.#instance.template === "metric" || this.#instance.template === "quota";
  }

  #unknown(
    at: FieldPlace,
    name: string,
    value: ExpressionText | InstanceFields,
    known: Fields,
  ): void {
    const { problems } = this.#context;
    const names = Object.keys(known);
    const spelt = name.includes("_") ? names.map(snakeCase) : names;
    this.#error(at, value, "unknown field", problems.didYouMean(name, spelt));
  }

  #error(
    { path, key }: FieldPlace,
    value: ExpressionText | InstanceFields,
    message: string,
    suggestion?: string,
  ): undefined {
    const written = Object.hasOwn(this.#instance.positions, key)
      ? this.#instance.positions[key]
      : undefined;
    const at = written ?? (isExpression(value) ? value.at : undefined);
    this.#context.problems.error(this.#subject, path, { at, message, suggestion });
  }
}

class FieldPlace {
  constructor(
    readonly path: string,
    readonly key: string,
  ) {}
}

function complaintOf(expression: Expression, wants: ValueType | undefined): string | undefined {
  const { type } = expression;
  if (wants !== undefined && type !== wants)
    return `evaluated expression type ${type} want ${wants}`;
  const constant = constantOf(expression);
  return constant instanceof Fault ? `never has a value: ${constant.message}` : undefined;
}

/** What is always the same is one object for all exchanges. */
function typed(expression: Expression): Run {
  const { type } = expression;
  const value = constantOf(expression);
  if (value !== undefined) {
    const constant = Object.freeze({ type, value });
    return () => constant;
  }
  return (bag) => {
    const value = expression.evaluate(bag);
    return value instanceof Fault ? value : { type, value };
  };
}

function objectOf(fields: readonly Field[]): Run {
  return (bag) => {
    const object: Record<string, unknown> = {};
    for (let i = 0; i < fields.length; i++) {
      const { key, run } = fields[i]!;
      const value = run(bag);
      if (value instanceof Fault) return value;
      object[key] = value;
    }
    return object;
  };
}

/** Of these an exchange mostly has the same as one before, and `===` says whether. */
const countable: ReadonlySet<ValueType> = new Set([
  ...(["STRING", "INT64", "BOOL", "EMAIL_ADDRESS", "URI", "DNS_NAME"] as const),
]);

/** The same object for the same values, whatever exchange they are of. */
function recurring(entries: readonly Entry[]): Run {
  const expressions = entries.map(({ expression }) => expression);
  const known = new KnownValues<Readonly<Record<string, unknown>>>();
  const values = new Array<Value>(entries.length).fill("");
  return (bag) => {
    for (let i = 0; i < expressions.length; i++) {
      const value = expressions[i]!.evaluate(bag);
      if (value instanceof Fault) return value;
      values[i] = value;
    }
    const found = known.find(values);
    if (found !== undefined) return found;
    const pairs = entries.map(({ key, expression: { type } }, i) => [
      key,
      { type, value: values[i] },
    ]);
    const object = Object.fromEntries(pairs);
    known.remember(values, object);
    return object;
  };
}

/** The same object while the bag is at the same exchange. */
function remembered(run: Run): Run {
  let made: unknown;
  let of: AttributeBag | undefined;
  let at = 0;
  return (bag) => {
    const { moment } = bag;
    if (moment === undefined) return run(bag);
    if (of === bag && at === moment) return made;
    made = run(bag);
    of = bag;
    at = moment;
    return made;
  };
}

/** An adapter is told the keys of the template's first map, which is its own subject. */
function dimensionsOf(written: InstanceFields, known: Fields): readonly string[] | undefined {
  const [map] = Object.entries(known).find(([, type]) => type === "VALUE_MAP") ?? [];
  if (map === undefined) return undefined;
  const [, entries] = Object.entries(written).find(([name]) => camelCase(name) === map) ?? [];
  if (entries === undefined || isExpression(entries)) return [];
  return Object.entries(entries).flatMap(([key, entry]) => (isEmptyExpression(entry) ? [] : [key]));
}

/** A field called "source" is a map or an expression, and never a text. */
function isExpression(value: ExpressionText | InstanceFields): value is ExpressionText {
  return typeof value.source === "string";
}

function isEmptyExpression(value: ExpressionText | InstanceFields): boolean {
  return isExpression(value) && value.source.trim() === "";
}
