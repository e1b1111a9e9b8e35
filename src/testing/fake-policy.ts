/**
 * Policy whose answers a test gives: a scope over the attributes that it names, and a mixer that
 * answers when it is told to. What engine and rules do is tested with the real ones elsewhere.
 */
import type { AttributeBag } from "../attribute/bag.ts";
import type { StringMap, Value, ValueType } from "../attribute/value.ts";
import { Vocabulary } from "../attribute/vocabulary.ts";
import { defaultHeadLimits } from "../http/message-head.ts";
import type { QuotaSpec } from "../model/quota-spec.ts";
import { QuotaMatcher } from "../policy/quota-match.ts";
import type { BoundSpec } from "../policy/resolved-policy.ts";
import type {
  PolicyEngine,
  PolicyScope,
  QuotaAnswer,
  QuotaQuestion,
  Verdict,
} from "../policy/verdict.ts";
import { ExchangePolicy } from "../proxy/policy/exchange-policy.ts";
import type {
  MixerAnswer,
  MixerAsker,
  MixerCall,
  MixerClient,
  MixerQuota,
} from "../proxy/policy/mixer-seat.ts";
import type { ReporterKind } from "../proxy/policy/node-reader.ts";
import { RelayPolicy } from "../proxy/policy/relay-policy.ts";
import type { PolicyNode } from "../proxy/policy/workload.ts";
import { Metrics } from "../telemetry/metrics.ts";

/** By name, or "request.headers[x-user]". */
export type Read = (name: string) => Value | undefined;

export interface FakeRules {
  /** Attributes that they speak of. */
  readonly attributes: Readonly<Record<string, ValueType>>;
  readonly check?: (read: Read) => Partial<Verdict>;
  /** True: the mixer is to be told. */
  readonly report?: (read: Read) => boolean | undefined;
  readonly allocate?: (question: QuotaQuestion) => Partial<QuotaAnswer>;
  readonly quotaSpecs?: readonly BoundSpec<QuotaSpec>[];
}

const admitted: Verdict = {
  code: 0,
  message: "",
  rule: "",
  validDurationMs: 0,
  validUseCount: 0,
  direct: undefined,
  requestHeaders: [],
  responseHeaders: [],
  retryAfterMs: 0,
  needsMixer: false,
  mixerFailPolicy: "closed",
};

const granted = ({ amount }: QuotaQuestion): QuotaAnswer => ({
  granted: amount,
  validDurationMs: 1_000,
  code: 0,
  message: "",
  retryAfterMs: 0,
  rule: "",
  handler: "",
  needsMixer: false,
  mixerFailPolicy: "closed",
});

export const fakeNode: PolicyNode = {
  id: "caller-1.default",
  service: "caller.default.svc.cluster.local",
  namespace: "default",
  labels: { version: "v1" },
  address: "10.0.0.1",
  version: "test",
  mode: "sidecar",
};

export class FakePolicy implements PolicyEngine {
  readonly generation = 1;
  readonly vocabulary: Vocabulary;
  readonly metrics = new Metrics();
  readonly #rules: FakeRules;

  constructor(rules: FakeRules) {
    this.#rules = rules;
    this.vocabulary = new Vocabulary(Object.entries(rules.attributes));
  }

  acquire(): void {}
  release(): void {}

  scopeFor(): PolicyScope {
    return this.scopeOf();
  }

  scopeOf(): PolicyScope {
    const { check, report, allocate } = this.#rules;
    const readOf = (bag: AttributeBag): Read => this.#readOf(bag);
    const never = (): never => {
      throw new Error("a proxy does not ask that");
    };
    return {
      checksNothing: check === undefined,
      reportsToMixer: false,
      reportsNothing: report === undefined,
      reads: new Set(this.vocabulary.attributes.map(({ slot }) => slot)),
      check: (bag) => ({ ...admitted, ...check?.(readOf(bag)) }),
      report: (bag) => report?.(readOf(bag)) === true,
      allocate: (_bag, question) => ({ ...granted(question), ...allocate?.(question) }),
      checkAll: never,
      allocateAll: never,
      reportAll: never,
    };
  }

  /** As an engine of the proxy asks it. */
  at(kind: ReporterKind, mixer?: MixerClient, node = fakeNode): ExchangePolicy {
    return new ExchangePolicy({
      engine: this,
      vocabulary: this.vocabulary,
      node,
      kind,
      mixer,
      limits: defaultHeadLimits,
      dropped: this.metrics.counter("dropped", ""),
      quotas: new QuotaMatcher(this.#rules.quotaSpecs ?? [], this.vocabulary),
    });
  }

  /** As relays ask it. */
  ofRelays(kind: ReporterKind, mixer?: MixerClient): RelayPolicy {
    return new RelayPolicy({
      ...{ engine: this, vocabulary: this.vocabulary, node: fakeNode, kind, mixer },
    });
  }

  #readOf(bag: AttributeBag): Read {
    return (written) => {
      const [, name = written, key] = /^(.*)\[(.*)\]$/.exec(written) ?? [];
      const attribute = this.vocabulary.find(name);
      if (attribute === undefined) throw new Error(`${name} is not among the test's attributes`);
      const value = bag.read(attribute.slot) as Value | undefined;
      return key === undefined ? value : (value as StringMap | undefined)?.get(key);
    };
  }
}

export const mixerOk: MixerAnswer = {
  at: "answered",
  code: 0,
  message: "",
  rule: "",
  direct: undefined,
  requestHeaders: [],
  responseHeaders: [],
  retryAfterMs: 0,
};

/** Remembers who waits. */
export class FakeMixer implements MixerClient {
  /** What it knows already; undefined: it has to be asked. */
  known: MixerAnswer | undefined = undefined;
  readonly waiting: MixerAsker[] = [];
  cancelled = 0;
  reports = 0;
  readonly quotas: MixerQuota[] = [];

  follow(): void {}

  check(
    _bag: AttributeBag,
    _scope: PolicyScope,
    asker: MixerAsker,
    quotas: readonly MixerQuota[] = [],
  ): MixerAnswer | MixerCall {
    this.quotas.push(...quotas);
    if (this.known !== undefined) return this.known;
    this.waiting.push(asker);
    return { at: "asked", cancel: () => void this.cancelled++ };
  }

  report(): void {
    this.reports++;
  }

  close(): void {}
}
