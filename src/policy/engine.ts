/**
 * One publication of policy, running: its handlers open, its rules by namespace.
 *
 * It lives until another is published and nobody uses it any more. Whoever was given it may hold it
 * over several questions; a question that is answered by a promise holds it by itself.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import type { Attribute, Vocabulary } from "../attribute/vocabulary.ts";
import { assert } from "../core/assert.ts";
import { policyRootNamespace } from "../model/policy-set.ts";
import type { CompiledRule } from "./compiled-rule.ts";
import { Scope, type ScopeSurroundings } from "./scope.ts";
import type { PolicyEngine } from "./verdict.ts";

export interface EngineFacts {
  readonly generation: number;
  readonly vocabulary: Vocabulary;
  /** By namespace; in the order in which they are asked. */
  readonly rules: ReadonlyMap<string, readonly CompiledRule[]>;
  readonly surroundings: Omit<ScopeSurroundings, "acquire" | "release" | "vocabulary">;
  /** Nobody uses it any more, and nobody will. */
  readonly onRetired: () => void;
}

export class Engine implements PolicyEngine {
  readonly generation: number;
  readonly vocabulary: Vocabulary;
  readonly #rules: EngineFacts["rules"];
  readonly #onRetired: () => void;
  readonly #surroundings: ScopeSurroundings;
  readonly #scopes = new Map<string, Scope>();
  /** Of namespaces without rules of their own. */
  readonly #root: Scope;
  /** No namespace has any: whose an exchange is makes no difference, and nobody reads it. */
  readonly #isForAll: boolean;
  readonly #reporterKind: Attribute | undefined;
  readonly #source: Attribute | undefined;
  readonly #destination: Attribute | undefined;
  #users = 0;
  #state: "current" | "former" | "retired" = "current";

  constructor({ generation, vocabulary, rules, surroundings, onRetired }: EngineFacts) {
    this.generation = generation;
    this.vocabulary = vocabulary;
    this.#rules = rules;
    this.#onRetired = onRetired;
    this.#surroundings = {
      ...surroundings,
      vocabulary,
      acquire: () => this.acquire(),
      release: () => this.release(),
    };
    this.#root = this.#scope([]);
    this.#isForAll = [...rules.keys()].every((namespace) => namespace === policyRootNamespace);
    this.#reporterKind = vocabulary.find("context.reporter.kind");
    this.#source = vocabulary.find("source.namespace");
    this.#destination = vocabulary.find("destination.namespace");
  }

  /** Made when it is first asked for; "": the rules that are for all. */
  scopeOf(namespace: string): Scope {
    const known = this.#scopes.get(namespace);
    if (known !== undefined) return known;
    const own = namespace === policyRootNamespace ? undefined : this.#rules.get(namespace);
    if (own === undefined) return this.#root;
    const scope = this.#scope(own);
    this.#scopes.set(namespace, scope);
    return scope;
  }

  /** The side that reports decides whose namespace counts: the source's where it is outbound. */
  scopeFor(bag: AttributeBag): Scope {
    if (this.#isForAll) return this.#root;
    const isOutbound = textOf(bag, this.#reporterKind) === "outbound";
    return this.scopeOf(textOf(bag, isOutbound ? this.#source : this.#destination));
  }

  acquire(): void {
    this.#users++;
  }

  release(): void {
    assert(this.#users > 0, "an engine is released as often as it is acquired");
    this.#users--;
    this.#retireIfUnused();
  }

  /** Another one was published in its place. */
  supersede(): void {
    if (this.#state === "current") this.#state = "former";
    this.#retireIfUnused();
  }

  #retireIfUnused(): void {
    if (this.#users > 0 || this.#state !== "former") return;
    this.#state = "retired";
    this.#onRetired();
  }

  #scope(own: readonly CompiledRule[]): Scope {
    const forAll = this.#rules.get(policyRootNamespace) ?? [];
    return new Scope([...forAll, ...own], this.#surroundings);
  }
}

function textOf(bag: AttributeBag, attribute: Attribute | undefined): string {
  const value = attribute === undefined ? undefined : bag.read(attribute.slot);
  return typeof value === "string" ? value : "";
}
