/**
 * What one engine asks policy: prepared at publish, so that a request of a mesh whose rules do not
 * concern it pays a comparison.
 *
 *   arrived ─▶ judge(facts): Verdict ─▶ … ─▶ over ─▶ reports.take() ─▶ told at the end of the turn
 */
import type { AttributeBag } from "../../attribute/bag.ts";
import type { Vocabulary } from "../../attribute/vocabulary.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { PolicyEngine, PolicyScope, Verdict } from "../../policy/verdict.ts";
import type { Counter } from "../../telemetry/metrics.ts";
import { ExchangeBag, readsAny } from "./exchange-bag.ts";
import { ExchangeFacts, HeadScratch } from "./exchange-facts.ts";
import { exchangeReaders, requestHeadAttributes } from "./exchange-reader.ts";
import type { MixerAnswer, MixerAsker, MixerCall, MixerClient } from "./mixer-seat.ts";
import type { PolicyNode, ReporterKind } from "./node-reader.ts";
import { ReportQueue } from "./report-queue.ts";

export interface ExchangePolicyParts {
  readonly engine: PolicyEngine;
  readonly vocabulary: Vocabulary;
  readonly node: PolicyNode;
  readonly kind: ReporterKind;
  /** Undefined: there is no mixer. */
  readonly mixer: MixerClient | undefined;
  readonly limits: MessageHead["limits"];
  readonly dropped: Counter;
}

export class ExchangePolicy {
  /** It has something to say before a request is forwarded. */
  readonly checks: boolean;
  /** It is told of exchanges afterwards. */
  readonly reports: boolean;
  /** Rules read afterwards what only these octets say. */
  readonly readsRequestHead: boolean;
  readonly readsResponseHead: boolean;
  readonly readsOrigin: boolean;
  readonly queue: ReportQueue<ExchangeFacts>;
  /** Of the request that is judged; filled in by who asks. */
  readonly facts: ExchangeFacts;
  readonly #scope: PolicyScope;
  readonly #bag: ExchangeBag<ExchangeFacts>;
  readonly #mixer: MixerClient | undefined;

  constructor(parts: ExchangePolicyParts) {
    const { engine, vocabulary, node, kind, mixer, limits, dropped } = parts;
    const scope = engine.scopeOf(node.namespace);
    const scratch = new HeadScratch(limits);
    this.#scope = scope;
    this.#mixer = mixer;
    this.checks = !scope.checksNothing;
    this.reports = !scope.reportsNothing;
    this.facts = new ExchangeFacts(scratch);
    this.#bag = new ExchangeBag(vocabulary, exchangeReaders(node, kind), this.facts);
    const reads = (...names: readonly string[]): boolean =>
      this.reports && readsAny(vocabulary, scope.reads, names);
    this.readsRequestHead = reads(...requestHeadAttributes);
    this.readsResponseHead = reads("response.headers");
    this.readsOrigin = reads("origin.ip");
    this.queue = new ReportQueue({
      make: () => new ExchangeFacts(scratch),
      tell: (facts) => this.#tell(facts),
      dropped,
    });
  }

  /** Of `facts`; read before anything else is asked, and not kept. */
  judge(wallMs: number): Verdict {
    return this.#scope.check(this.#bag.about(this.facts), wallMs);
  }

  /** The same question for the mixer; undefined: there is none. */
  ask(asker: MixerAsker): MixerAnswer | MixerCall | undefined {
    return this.#mixer?.check(this.#bag.about(this.facts), this.#scope, asker);
  }

  #tell(facts: ExchangeFacts): void {
    const bag: AttributeBag = this.#bag.about(facts);
    if (this.#scope.report(bag)) this.#mixer?.report(bag, this.#scope);
    facts.forgetHeads();
    this.#bag.about(this.facts);
  }
}
