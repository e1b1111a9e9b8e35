/**
 * Policy as an operator writes it, for tests: documents of `config.istio.io/v1alpha2` ─▶ PolicySet.
 * Only what is well-formed: what is wrong with documents themselves is the dialect's subject.
 */
import { isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseAllDocuments } from "yaml";
import type { ValueType } from "../attribute/value.ts";
import type { Position } from "../core/problem.ts";
import type { Handler } from "../model/handler.ts";
import type { ExpressionText, Instance, InstanceFields } from "../model/instance.ts";
import type { Action, HeaderOperation, PolicyRule, Reference } from "../model/policy-rule.ts";
import type { Declared, PolicySet } from "../model/policy-set.ts";

type Node = ParsedNode | null | undefined;

/** Kinds that are no kind of ours are adapters' and templates' own. */
export interface KnownKinds {
  readonly adapters: readonly string[];
  readonly templates: readonly string[];
}

export function policyOf(text: string, known: KnownKinds, file = "policy.yaml"): PolicySet {
  const set = emptyPolicy();
  const lines = new LineCounter();
  for (const document of parseAllDocuments(text, { lineCounter: lines })) {
    if (!("contents" in document) || document.contents === null) continue;
    new DocumentReader({ file, text }, lines, known).read(document.contents as ParsedNode, set);
  }
  return set;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

export function emptyPolicy(): Mutable<PolicySet> {
  return {
    manifests: [],
    handlers: [],
    instances: [],
    rules: [],
    quotaSpecs: [],
    quotaSpecBindings: [],
    httpApiSpecs: [],
    httpApiSpecBindings: [],
  };
}

class DocumentReader {
  readonly #file: string;
  readonly #text: string;
  readonly #lines: LineCounter;
  readonly #known: KnownKinds;

  constructor(
    { file, text }: { file: string; text: string },
    lines: LineCounter,
    known: KnownKinds,
  ) {
    this.#file = file;
    this.#text = text;
    this.#lines = lines;
    this.#known = known;
  }

  read(node: ParsedNode, set: Mutable<PolicySet>): void {
    const metadata = field(node, "metadata");
    const spec = field(node, "spec");
    const kind = textOf(field(node, "kind"));
    const declare = <Spec>(of: Spec): Declared<Spec> => ({
      name: textOf(field(metadata, "name")),
      namespace: textOf(field(metadata, "namespace")) || "default",
      origin: this.#at(node),
      spec: of,
    });
    if (kind === "attributemanifest") {
      const attributes = entries(field(spec, "attributes")).map(([name, one, key]) => ({
        name,
        type: textOf(field(one, "valueType", "value_type")) as ValueType,
        description: "",
        at: this.#at(key),
      }));
      set.manifests.push(declare({ revision: "", attributes }));
    } else if (kind === "rule") set.rules.push(declare(this.#rule(spec)));
    else if (kind === "handler" || this.#known.adapters.includes(kind))
      set.handlers.push(declare(this.#handler(kind, spec, node)));
    else if (kind === "instance" || this.#known.templates.includes(kind))
      set.instances.push(declare(this.#instance(kind, spec, node)));
    else this.#readSpec(kind, spec, { set, declare });
  }

  #readSpec(
    kind: string,
    spec: Node,
    { set, declare }: { set: Mutable<PolicySet>; declare: <S>(of: S) => Declared<S> },
  ): void {
    const json = (spec as { toJSON(): unknown } | null)?.toJSON();
    if (kind === "QuotaSpec") set.quotaSpecs.push(declare(json as never));
    else if (kind === "HTTPAPISpec") set.httpApiSpecs.push(declare(json as never));
    else {
      const list = field(spec, "quotaSpecs", "apiSpecs");
      const specs = items(list).map((one) => ({
        name: textOf(field(one, "name")),
        namespace: textOf(field(one, "namespace")),
        at: this.#at(one),
      }));
      const services = items(field(spec, "services")).map(textOf);
      const to = kind === "QuotaSpecBinding" ? set.quotaSpecBindings : set.httpApiSpecBindings;
      to.push(declare({ services, specs }));
    }
  }

  #handler(kind: string, spec: Node, whole: Node): Handler {
    const adapter = field(spec, "compiledAdapter", "adapter");
    const parameters = kind === "handler" ? field(spec, "params") : spec;
    return {
      writtenKind: kind,
      adapter: kind === "handler" ? textOf(adapter) : kind,
      adapterAt: this.#at(adapter ?? whole),
      parameters: {
        json: JSON.stringify((parameters as { toJSON(): unknown } | null)?.toJSON() ?? {}),
        positions: Object.fromEntries(this.#positions(parameters, "")),
      },
    };
  }

  #instance(kind: string, spec: Node, whole: Node): Instance {
    const template = field(spec, "compiledTemplate", "template");
    const fields = kind === "instance" ? field(spec, "params") : spec;
    return {
      writtenKind: kind,
      template: kind === "instance" ? textOf(template) : kind,
      templateAt: this.#at(template ?? whole),
      fields: this.#fields(fields),
      positions: Object.fromEntries(this.#positions(fields, "")),
      attributeBindings: this.#fields(
        field(spec, "attributeBindings"),
      ) as Instance["attributeBindings"],
    };
  }

  #rule(spec: Node): PolicyRule {
    const match = field(spec, "match");
    return {
      match: match ? this.#expression(match) : undefined,
      actions: items(field(spec, "actions")).map((one) => this.#action(one)),
      requestHeaders: this.#headers(field(spec, "requestHeaderOperations")),
      responseHeaders: this.#headers(field(spec, "responseHeaderOperations")),
      failPolicy: "closed",
    };
  }

  #action(node: Node): Action {
    const handler = field(node, "handler");
    const charge = field(node, "charge");
    return {
      name: textOf(field(node, "name")),
      handler: isMap(handler)
        ? this.#handler("handler", handler, handler)
        : this.#reference(handler),
      instances: items(field(node, "instances")).map((one) =>
        isMap(one) ? this.#instance("instance", one, one) : this.#reference(one),
      ),
      charge: Number(textOf(charge)),
      at: this.#at(node),
    };
  }

  #reference(node: Node): Reference {
    return { name: textOf(node), at: this.#at(node) };
  }

  #headers(node: Node): readonly HeaderOperation[] {
    return items(node).map((one) => ({
      name: textOf(field(one, "name")),
      values: items(field(one, "values")).map((value) => this.#expression(value)),
      operation: (textOf(field(one, "operation")) || "REPLACE").toLowerCase() as "replace",
      at: this.#at(one),
    }));
  }

  #fields(node: Node): InstanceFields {
    return Object.fromEntries(
      entries(node).map(([name, value]) => [
        name,
        isMap(value) ? this.#fields(value) : this.#expression(value),
      ]),
    );
  }

  /** Its first character: behind a quotation mark. */
  #expression(node: Node): ExpressionText {
    const start = node?.range?.[0] ?? 0;
    const type = isScalar(node) ? (node.type ?? "") : "";
    const before = /^QUOTE/.test(type) ? 1 : /^BLOCK/.test(type) ? this.#header(start) : 0;
    return { source: textOf(node), at: this.#position(start + before) };
  }

  *#positions(node: Node, path: string): Iterable<readonly [string, Position]> {
    yield [path, this.#at(node)];
    const below = path === "" ? "" : `${path}.`;
    for (const [name, value, key] of entries(node)) {
      yield* this.#positions(value, below + name);
      yield [below + name, this.#at(key)];
    }
    for (const [i, item] of items(node).entries()) yield* this.#positions(item, `${path}[${i}]`);
  }

  /** Of `|` and what follows it, to the first character of a block. */
  #header(start: number): number {
    return /^.*\n\s*/.exec(this.#text.slice(start))?.[0].length ?? 0;
  }

  #at(node: Node): Position {
    return this.#position(node?.range?.[0] ?? 0);
  }

  #position(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line, column: col };
  }
}

function field(node: Node, ...names: readonly string[]): Node {
  return entries(node).find(([name]) => names.includes(name))?.[1];
}

function entries(node: Node): readonly (readonly [string, Node, ParsedNode])[] {
  if (!isMap(node)) return [];
  return node.items.map((pair) => {
    const key = pair.key as ParsedNode;
    return [textOf(key), pair.value as Node, key];
  });
}

function items(node: Node): readonly Node[] {
  return isSeq(node) ? (node.items as Node[]) : [];
}

function textOf(node: Node): string {
  return isScalar(node) && node.value !== null ? String(node.value) : "";
}
