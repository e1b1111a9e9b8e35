/**
 * What one engine asks policy: prepared at publish, so that a request of a mesh whose rules do not
 * concern it pays a comparison.
 *
 *   arrived ─▶ judge(facts): Verdict ─▶ … ─▶ over ─▶ reports.take() ─▶ told at the end of the turn
 */
import type { AttributeBag } from "../../attribute/bag.ts";
import type { Vocabulary } from "../../attribute/vocabulary.ts";
import type { MessageHead } from "../../http/message-head.ts";
import type { HttpApiSpec } from "../../model/http-api-spec.ts";
import type { QuotaMatcher } from "../../policy/quota-match.ts";
import type { BoundSpec } from "../../policy/resolved-policy.ts";
import { StatusCode } from "../../policy/status-code.ts";
import type { PolicyEngine, PolicyScope, Verdict } from "../../policy/verdict.ts";
import type { Counter } from "../../telemetry/metrics.ts";
import { ApiSpecs } from "./api-spec.ts";
import { ExchangeBag, readsAny } from "./exchange-bag.ts";
import { ExchangeFacts, HeadScratch } from "./exchange-facts.ts";
import { exchangeReaders, requestHeadAttributes } from "./exchange-reader.ts";
import type { MixerAnswer, MixerAsker, MixerCall, MixerClient, MixerQuota } from "./mixer-seat.ts";
import type { ReporterKind } from "./node-reader.ts";
import { ReportQueue } from "./report-queue.ts";
import type { PolicyNode } from "./workload.ts";

export interface ExchangePolicyParts {
  readonly engine: PolicyEngine;
  readonly vocabulary: Vocabulary;
  readonly node: PolicyNode;
  readonly kind: ReporterKind;
  /** Undefined: there is no mixer. */
  readonly mixer: MixerClient | undefined;
  readonly limits: MessageHead["limits"];
  readonly dropped: Counter;
  /** What QuotaSpecs charge; undefined: nothing. */
  readonly quotas?: QuotaMatcher | undefined;
  readonly apiSpecs?: readonly BoundSpec<HttpApiSpec>[] | undefined;
}

/** What was asked of the exchange at hand beyond its Verdict. */
const noQuotas: readonly MixerQuota[] = [];

export class ExchangePolicy {
  /** It has something to say before a request is forwarded. */
  readonly checks: boolean;
  /** Who is called and has a proxy of its own is left to that one: twice would charge twice. */
  readonly leavesToCallee: boolean;
  /** It is told of exchanges afterwards. */
  readonly reports: boolean;
  /** Rules read afterwards what only these octets say. */
  readonly readsRequestHead: boolean;
  readonly readsResponseHead: boolean;
  readonly readsOrigin: boolean;
  readonly readsGrpcMessage: boolean;
  readonly queue: ReportQueue<ExchangeFacts>;
  /** Of the request that is judged; filled in by who asks. */
  readonly facts: ExchangeFacts;
  readonly #scope: PolicyScope;
  readonly #bag: ExchangeBag<ExchangeFacts>;
  readonly #mixer: MixerClient | undefined;
  readonly #quotas: QuotaMatcher | undefined;
  #mixerQuotas = noQuotas;

  constructor(parts: ExchangePolicyParts) {
    const { engine, vocabulary, node, kind, mixer, limits, dropped } = parts;
    const scope = engine.scopeOf(node.namespace);
    const scratch = new HeadScratch(limits);
    this.#scope = scope;
    this.#mixer = mixer;
    this.leavesToCallee = kind === "outbound" && node.mode === "sidecar";
    this.#quotas = parts.quotas?.isEmpty === false ? parts.quotas : undefined;
    this.checks = !scope.checksNothing || this.#quotas !== undefined;
    this.reports = !scope.reportsNothing;
    this.facts = new ExchangeFacts(scratch);
    const specs = new ApiSpecs(parts.apiSpecs ?? []).readers;
    const readers = new Map([...specs, ...exchangeReaders(node, kind)]);
    this.#bag = new ExchangeBag(vocabulary, readers, this.facts);
    const reads = (...names: readonly string[]): boolean =>
      this.reports && readsAny(vocabulary, scope.reads, names);
    this.readsRequestHead = reads(...requestHeadAttributes, ...specs.keys());
    this.readsResponseHead = reads("response.headers");
    this.readsOrigin = reads("origin.ip");
    this.readsGrpcMessage = reads("response.grpc_message");
    this.queue = new ReportQueue({
      make: () => new ExchangeFacts(scratch),
      tell: (facts) => this.#tell(facts),
      dropped,
    });
  }

  /** Of `facts`; read before anything else is asked, and not kept. */
  judge(wallMs: number): Verdict {
    const verdict = this.#scope.check(this.#bag.about(this.facts), wallMs);
    this.#mixerQuotas = noQuotas;
    if (this.#quotas === undefined || verdict.code !== StatusCode.ok) return verdict;
    return this.#charge(this.#quotas, verdict, wallMs);
  }

  /** The last verdict stands only if the mixer has nothing against it. */
  get needsQuotas(): boolean {
    return this.#mixerQuotas.length > 0;
  }

  /** The same question for the mixer, with quotas; undefined: there is none. */
  ask(asker: MixerAsker): MixerAnswer | MixerCall | undefined {
    const bag = this.#bag.about(this.facts);
    return this.#mixer?.check(bag, this.#scope, asker, this.#mixerQuotas);
  }

  /** What QuotaSpecs say of the service that is called. */
  #charge(matcher: QuotaMatcher, verdict: Verdict, wallMs: number): Verdict {
    const { service } = this.facts;
    if (service === undefined) return verdict;
    let failPolicy = verdict.mixerFailPolicy;
    const remote: MixerQuota[] = [];
    const exhausted: string[] = [];
    let rule = "";
    let retryAfterMs = 0;
    for (const { quota, charge: amount } of matcher.chargesOf(service.host, this.#bag)) {
      const question = { quota, amount, bestEffort: false, dedupId: "" };
      const answer = this.#scope.allocate(this.#bag, question, wallMs);
      if (answer.needsMixer) {
        remote.push({ quota, amount });
        if (answer.mixerFailPolicy === "closed") failPolicy = "closed";
      } else if (answer.granted < amount) {
        exhausted.push(quota);
        rule ||= answer.rule;
        retryAfterMs = Math.max(retryAfterMs, answer.retryAfterMs);
      }
    }
    if (exhausted.length > 0) return exhaustedVerdict(verdict, exhausted, { rule, retryAfterMs });
    if (remote.length === 0) return verdict;
    this.#mixerQuotas = remote;
    return { ...verdict, mixerFailPolicy: failPolicy };
  }

  #tell(facts: ExchangeFacts): void {
    const bag: AttributeBag = this.#bag.about(facts);
    if (this.#scope.report(bag)) this.#mixer?.report(bag, this.#scope);
    facts.forgetHeads();
    this.#bag.about(this.facts);
  }
}

function exhaustedVerdict(
  verdict: Verdict,
  quotas: readonly string[],
  of: Pick<Verdict, "rule" | "retryAfterMs">,
): Verdict {
  return {
    ...verdict,
    code: StatusCode.resourceExhausted,
    message: `Quota is exhausted for: ${quotas.join(",")}`,
    ...of,
    requestHeaders: [],
    responseHeaders: [],
    needsMixer: false,
  };
}
