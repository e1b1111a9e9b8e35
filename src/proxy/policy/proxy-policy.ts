/**
 * The policy of one thread of a proxy: compiled with each configuration, published with it, asked
 * by the engines beside.
 *
 *   ProxyConfig.policy ─▶ compile ─▶ publish ─▶ PolicyRuntime ─▶ outbound, inbound, relays
 *
 * It is loaded with the first configuration that has a policy: a mesh without rules has none of it.
 */
import { adapters } from "../../adapter/inventory.ts";
import { workload } from "../../adapter/workload.ts";
import { Vocabulary } from "../../attribute/vocabulary.ts";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { formatProblem, isError } from "../../core/problem.ts";
import type { Random } from "../../core/random.ts";
import type { MessageHead } from "../../http/message-head.ts";
import { policyRootNamespace } from "../../model/policy-set.ts";
import { Exposition } from "../../policy/exposition.ts";
import { resolveKeeping } from "../../policy/last-good.ts";
import { policyFromMessage } from "../../policy/policy-message.ts";
import { type PolicyView, viewPolicy } from "../../policy/policy-view.ts";
import { QuotaMatcher } from "../../policy/quota-match.ts";
import { resolvePolicy } from "../../policy/resolve.ts";
import type { ResolvedPolicy } from "../../policy/resolved-policy.ts";
import { PolicyRuntime } from "../../policy/runtime.ts";
import { templates } from "../../policy/template.ts";
import { WorkloadIndex } from "../../policy/workload-directory.ts";
import type { Counter, Metrics } from "../../telemetry/metrics.ts";
import { isSame } from "../snapshot/is-same.ts";
import type { CompiledPolicy, CompilePolicy } from "./compiled-policy.ts";
import { type Members, workloadsOf } from "./endpoint-directory.ts";
import { ExchangePolicy } from "./exchange-policy.ts";
import type { MixerClient } from "./mixer-seat.ts";
import type { ReporterKind } from "./node-reader.ts";
import { RelayPolicy } from "./relay-policy.ts";
import type { PolicyNode } from "./workload.ts";

export interface ProxyPolicyParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits: MessageHead["limits"];
  /** Undefined: there is no mixer. */
  readonly mixer: MixerClient | undefined;
}

/** Who is asked about what passes in one direction; undefined: nobody. */
export interface DirectionPolicy {
  readonly exchanges: ExchangePolicy | undefined;
  readonly relays: RelayPolicy | undefined;
}

const nobody: DirectionPolicy = { exchanges: undefined, relays: undefined };
const PROBLEMS_LOGGED = 10;
const emptyPolicy: ResolvedPolicy = {
  vocabulary: new Vocabulary([]),
  handlers: [],
  rules: [],
  quotaSpecs: [],
  httpApiSpecs: [],
};

export class ProxyPolicy {
  /** What adapters offer to a scrape. */
  readonly exposition = new Exposition();
  readonly #parts: ProxyPolicyParts;
  readonly #runtime: PolicyRuntime;
  readonly #dropped: Counter;
  /** For generators of attributes. */
  readonly #workloads = new WorkloadIndex();
  #published: CompiledPolicy | undefined = undefined;
  #node: PolicyNode | undefined = undefined;
  #outbound = nobody;
  #inbound = nobody;

  constructor(parts: ProxyPolicyParts) {
    this.#parts = parts;
    const { exposition } = this;
    this.#runtime = new PolicyRuntime({
      ...parts,
      exposition,
      workloads: this.#workloads,
      isProxy: true,
    });
    this.#dropped = parts.metrics.counter(
      "mesh_policy_reports_dropped_total",
      "Exchanges that no handler was told of, since too many ended at once.",
    );
  }

  get outbound(): DirectionPolicy {
    return this.#outbound;
  }

  get inbound(): DirectionPolicy {
    return this.#inbound;
  }

  /** Names are followed and expressions compiled; nothing that is in use is touched. */
  readonly compile: CompilePolicy = (message, former) => {
    if (former !== undefined && isSame(former.message, message)) return former;
    const { policy, problems, set, kept } = resolveKeeping(
      policyFromMessage(message),
      former?.set,
      (one) => resolvePolicy(one, { adapters, templates }, { rootNamespace: policyRootNamespace }),
    );
    return { message, resolved: policy, set, problems, kept };
  };

  /** Who runs where; nothing is kept of it where no handler asks. */
  know(node: PolicyNode, clusters: Iterable<Members>): void {
    const handlers = this.#published?.resolved.handlers ?? [];
    if (handlers.some(({ adapter }) => adapter === workload.name))
      this.#workloads.replace(workloadsOf(node, clusters));
    else if (this.#workloads.size > 0) this.#workloads.replace([]);
  }

  /** True: who is asked has changed. Undefined: there are no rules. */
  publish(policy: CompiledPolicy | undefined, node: PolicyNode): boolean {
    const former = this.#published;
    if (policy === former && this.#node === node) return false;
    this.#published = policy;
    this.#node = node;
    if (policy !== former) this.#tellProblems(policy);
    if (policy?.resolved === former?.resolved) return false;
    this.flush();
    this.#runtime.publish(policy?.resolved ?? emptyPolicy);
    const { current } = this.#runtime;
    this.#parts.mixer?.follow(current, current.vocabulary);
    this.#outbound = this.#direction(node, "outbound");
    this.#inbound = this.#direction(node, "inbound");
    return true;
  }

  /** What waits to be told is told now. */
  flush(): void {
    for (const { exchanges } of [this.#outbound, this.#inbound]) exchanges?.queue.flush();
  }

  view(): PolicyView | undefined {
    const policy = this.#published;
    if (policy === undefined) return undefined;
    return viewPolicy({
      generation: this.#runtime.current.generation,
      ...{ resolved: policy.resolved, problems: policy.problems, kept: policy.kept },
      figuresOf: (rule) => this.#runtime.statistics.of(rule),
      concerns: (namespace) =>
        namespace === policyRootNamespace || namespace === this.#node?.namespace,
    });
  }

  close(): void {
    this.flush();
    this.#outbound = nobody;
    this.#inbound = nobody;
    this.#parts.mixer?.close();
    this.#runtime.close();
  }

  #direction(node: PolicyNode, kind: ReporterKind): DirectionPolicy {
    const { mixer, limits } = this.#parts;
    const engine = this.#runtime.current;
    const { vocabulary } = engine;
    const scope = engine.scopeOf(node.namespace);
    const { quotaSpecs = [], httpApiSpecs = [] } = this.#published?.resolved ?? {};
    const quotas = new QuotaMatcher(quotaSpecs, vocabulary);
    if (scope.checksNothing && scope.reportsNothing && quotas.isEmpty) return nobody;
    const parts = { engine, vocabulary, node, kind, mixer };
    const ofExchanges = { quotas, limits, dropped: this.#dropped, apiSpecs: httpApiSpecs };
    return {
      exchanges: new ExchangePolicy({ ...parts, ...ofExchanges }),
      relays: new RelayPolicy(parts),
    };
  }

  #tellProblems(policy: CompiledPolicy | undefined): void {
    const { log } = this.#parts;
    for (const problem of policy?.problems.slice(0, PROBLEMS_LOGGED) ?? []) {
      const text = formatProblem(problem);
      if (isError(problem)) log.error("policy not in force", { problem: text });
      else log.warn("policy", { problem: text });
    }
  }
}
