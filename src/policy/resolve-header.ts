/** Header operations of a rule: values are texts, which may be part of what a check answered. */
import type { ValueType } from "../attribute/value.ts";
import { Vocabulary } from "../attribute/vocabulary.ts";
import type { Expression } from "../expression/expression.ts";
import type { ExpressionText } from "../model/instance.ts";
import type { HeaderOperation } from "../model/policy-rule.ts";
import type { InstanceContext } from "./resolve-context.ts";
import { ExpressionResolver, otherType } from "./resolve-expression.ts";
import type { Subject } from "./resolve-problem.ts";
import type { ActionOutput, ResolvedAction, ResolvedHeaderOperation } from "./resolved-policy.ts";

interface Output {
  readonly name: string;
  readonly type: ValueType;
  readonly action: number;
  readonly field: string;
}

export class HeaderResolver {
  readonly #subject: Subject;
  readonly #context: InstanceContext;
  /** What is there to be read, by slots beyond the vocabulary's. */
  readonly #available: readonly Output[];
  readonly #expressions: ExpressionResolver;
  readonly #read = new Set<number>();

  constructor(subject: Subject, actions: readonly ResolvedAction[], context: InstanceContext) {
    const { expressions, problems, templates } = context;
    this.#subject = subject;
    this.#context = context;
    const outputs = actions.flatMap(({ name, variety, instances }, action) =>
      name === "" || variety !== "check"
        ? []
        : instances.flatMap(({ template }) =>
            Object.entries(templates[template]?.output ?? {}).map(
              ([field, type]): Output => ({ name: `${name}.output.${field}`, type, action, field }),
            ),
          ),
    );
    const { vocabulary } = expressions;
    const seen = new Set(outputs.length === 0 ? [] : vocabulary.attributes.map(({ name }) => name));
    this.#available = outputs.filter(({ name }) => !seen.has(name) && seen.add(name));
    this.#expressions =
      this.#available.length === 0
        ? expressions
        : new ExpressionResolver(withOutputs(vocabulary, this.#available), problems);
  }

  get outputs(): readonly ActionOutput[] {
    const first = this.#context.expressions.vocabulary.size;
    return this.#available
      .map(({ action, field }, i) => ({ slot: first + i, action, field }))
      .filter(({ slot }) => this.#read.has(slot));
  }

  /** Those that can be carried out. */
  resolve(operations: readonly HeaderOperation[], path: string): ResolvedHeaderOperation[] {
    return operations.flatMap((operation, i) => {
      const { name, operation: kind } = operation;
      const values = operation.values.map((value, j) =>
        this.#value(value, `${path}[${i}].values[${j}]`),
      );
      const usable = values.filter((value) => value !== undefined);
      const isBroken = usable.length < values.length;
      return isBroken ? [] : [{ name, operation: kind, values: usable }];
    });
  }

  #value(text: ExpressionText, path: string): Expression | undefined {
    const expression = this.#expressions.compile(text, { subject: this.#subject, path }, "STRING");
    if (expression === undefined) return undefined;
    if (expression.type === "STRING") {
      for (const slot of expression.reads) this.#read.add(slot);
      return expression;
    }
    this.#context.problems.error(this.#subject, path, {
      at: text.at,
      message: otherType(text.source, expression.type, "type STRING"),
    });
    return undefined;
  }
}

function withOutputs(vocabulary: Vocabulary, outputs: readonly Output[]): Vocabulary {
  return new Vocabulary([
    ...vocabulary.attributes.map(({ name, type }) => [name, type] as const),
    ...outputs.map(({ name, type }) => [name, type] as const),
  ]);
}
