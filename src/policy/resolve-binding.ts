/**
 * What a generator's output gives values to: `source.name: $out.source_pod_name | "unknown"`. Such
 * an expression reads the output, and what the exchange has already.
 */
import type { AttributeBag, Reading } from "../attribute/bag.ts";
import type { Fault } from "../attribute/fault.ts";
import type { Value } from "../attribute/value.ts";
import { Vocabulary } from "../attribute/vocabulary.ts";
import type { Instance } from "../model/instance.ts";
import type { InstanceContext, Site } from "./resolve-context.ts";
import { attributeNames, ExpressionResolver } from "./resolve-expression.ts";
import { entryPath, snakeCase } from "./resolve-problem.ts";
import type { Binding } from "./resolved-policy.ts";
import type { Template } from "./template.ts";

/** Undefined after it has reported why. */
export function resolveBindings(
  instance: Instance,
  template: Template,
  { subject, path }: Site,
  context: InstanceContext,
): { readonly bindings: readonly Binding[]; readonly reads: ReadonlySet<number> } | undefined {
  const reads = new Set<number>();
  const bindings: Binding[] = [];
  const written = Object.entries(instance.attributeBindings);
  if (written.length === 0) return { bindings, reads };
  const { expressions, problems } = context;
  const { vocabulary } = expressions;
  const output = template.variety === "generator" ? (template.output ?? {}) : {};
  const spellings = Object.keys(output).flatMap((name) => spellingsOf(name).map(() => name));
  const outputs = outputsOf(template, output, context);
  for (const [name, text] of written) {
    const at = entryPath(`${path}.attributeBindings`, name);
    const attribute = vocabulary.find(name);
    if (attribute === undefined)
      problems.error(subject, at, {
        at: text.at,
        message: `attribute '${name}' is not declared by any manifest`,
        suggestion: problems.didYouMean(name, attributeNames(vocabulary)),
      });
    const expression = outputs.compile(text, { subject, path: at });
    if (attribute === undefined || expression === undefined) continue;
    const { type, slot } = attribute;
    if (type !== expression.type) {
      const message =
        `type '${type}' for attribute '${name}' does not match ` +
        `type '${expression.type}' for expression '${text.source}'`;
      problems.error(subject, at, { at: text.at, message });
      continue;
    }
    for (const read of expression.reads) if (read < vocabulary.size) reads.add(read);
    const bag = new OutputBag(spellings, vocabulary.size);
    bindings.push({
      slot,
      evaluate: (values, exchange): Value | Fault | undefined => {
        bag.show(values, exchange);
        return expression.evaluate(bag);
      },
    });
  }
  return bindings.length === written.length ? { bindings, reads } : undefined;
}

function outputsOf(
  template: Template,
  output: NonNullable<Template["output"]>,
  { expressions: { vocabulary }, outputs, problems }: InstanceContext,
): ExpressionResolver {
  const known = outputs.get(template);
  if (known !== undefined) return known;
  const resolver = new ExpressionResolver(withOutput(vocabulary, output), problems);
  outputs.set(template, resolver);
  return resolver;
}

/** `$out.source_pod_name` and `$out.sourcePodName`, behind all attributes. */
function withOutput(vocabulary: Vocabulary, output: NonNullable<Template["output"]>): Vocabulary {
  return new Vocabulary([
    ...vocabulary.attributes.map(({ name, type }) => [name, type] as const),
    ...Object.entries(output).flatMap(([name, type]) =>
      spellingsOf(name).map((spelling) => [`$out.${spelling}`, type] as const),
    ),
  ]);
}

function spellingsOf(name: string): readonly string[] {
  const snake = snakeCase(name);
  return snake === name ? [name] : [snake, name];
}

/** One for all evaluations of an expression, which nothing interrupts. */
class OutputBag implements AttributeBag {
  /** The output's field that each further slot stands for. */
  readonly #names: readonly string[];
  readonly #first: number;
  #values: Readonly<Record<string, Value>> = {};
  #exchange: AttributeBag = { read: () => undefined };

  constructor(names: readonly string[], first: number) {
    this.#names = names;
    this.#first = first;
  }

  show(values: Readonly<Record<string, Value>>, exchange: AttributeBag): void {
    this.#values = values;
    this.#exchange = exchange;
  }

  read(slot: number): Reading {
    if (slot < this.#first) return this.#exchange.read(slot);
    const name = this.#names[slot - this.#first]!;
    return this.#values[name];
  }
}
