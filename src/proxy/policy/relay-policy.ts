/**
 * What policy is asked about connections that are passed on as they are, and told of them: when
 * they open, every few seconds, and when they close; with what was sent since it was told last.
 */
import type { Vocabulary } from "../../attribute/vocabulary.ts";
import type { PolicyEngine, PolicyScope, Verdict } from "../../policy/verdict.ts";
import { ExchangeBag } from "./exchange-bag.ts";
import { RelayedFacts } from "./exchange-facts.ts";
import { relayReaders } from "./exchange-reader.ts";
import type { MixerAnswer, MixerAsker, MixerCall, MixerClient } from "./mixer-seat.ts";
import type { ReporterKind } from "./node-reader.ts";
import type { PolicyNode } from "./workload.ts";

export interface RelayPolicyParts {
  readonly engine: PolicyEngine;
  readonly vocabulary: Vocabulary;
  readonly node: PolicyNode;
  readonly kind: ReporterKind;
  /** Undefined: there is no mixer. */
  readonly mixer: MixerClient | undefined;
}

export class RelayPolicy {
  readonly checks: boolean;
  /** Services of the mesh are left to their own proxies. */
  readonly leavesToCallee: boolean;
  readonly reports: boolean;
  /** Of this proxy; part of the ids of its connections. */
  readonly nodeId: string;
  readonly #scope: PolicyScope;
  readonly #bag: ExchangeBag<RelayedFacts>;
  readonly #mixer: MixerClient | undefined;

  constructor({ engine, vocabulary, node, kind, mixer }: RelayPolicyParts) {
    const scope = engine.scopeOf(node.namespace);
    this.#scope = scope;
    this.#mixer = mixer;
    this.nodeId = node.id;
    this.leavesToCallee = kind === "outbound" && node.mode === "sidecar";
    this.checks = !scope.checksNothing;
    this.reports = !scope.reportsNothing;
    this.#bag = new ExchangeBag(vocabulary, relayReaders(node, kind), new RelayedFacts());
  }

  /** Read before anything else is asked, and not kept. */
  judge(facts: RelayedFacts, wallMs: number): Verdict {
    return this.#scope.check(this.#bag.about(facts), wallMs);
  }

  /** The same question for the mixer; undefined: there is none. */
  ask(facts: RelayedFacts, asker: MixerAsker): MixerAnswer | MixerCall | undefined {
    return this.#mixer?.check(this.#bag.about(facts), this.#scope, asker);
  }

  tell(facts: RelayedFacts): void {
    const bag = this.#bag.about(facts);
    if (this.#scope.report(bag)) this.#mixer?.report(bag, this.#scope);
  }
}
