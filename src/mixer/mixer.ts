/**
 * The shared half of policy and telemetry: answers Check and Report of istio.mixer.v1 by the policy
 * in force. It knows no socket; who follows the manager hands it what is in force.
 *
 *   ProxyConfig.policy, workloads ─▶ configure ─▶ PolicyRuntime ◀─ Check, Report ◀─ whoever asks
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { adapters } from "../adapter/inventory.ts";
import { CallFault, CallStatus } from "../api/call-fault.ts";
import {
  type CheckRequest,
  type CheckResponse,
  Mixer as MixerDesc,
  type ReportRequest,
  type ReportResponse,
  ReportResponseSchema,
} from "../api/gen/istio/mixer/v1/mixer_pb.ts";
import { MetricService } from "../api/gen/mesh/v1/metric_pb.ts";
import { PolicyConfigSchema } from "../api/gen/mesh/v1/policy_pb.ts";
import type { ProxyConfig } from "../api/gen/mesh/v1/proxy_config_pb.ts";
import { type CallMetadata, type UnaryMethod, unaryMethod } from "../api/unary-method.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { formatProblem } from "../core/problem.ts";
import type { Random } from "../core/random.ts";
import { policyRootNamespace } from "../model/policy-set.ts";
import { Exposition } from "../policy/exposition.ts";
import { type KeepingResolved, resolveKeeping } from "../policy/last-good.ts";
import { policyFromMessage } from "../policy/policy-message.ts";
import { type PolicyView, viewPolicy } from "../policy/policy-view.ts";
import { resolvePolicy } from "../policy/resolve.ts";
import { PolicyRuntime } from "../policy/runtime.ts";
import { templates } from "../policy/template.ts";
import type { Verdict } from "../policy/verdict.ts";
import { WorkloadIndex } from "../policy/workload-directory.ts";
import { grpcStatusNames } from "../telemetry/grpc-status-name.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { answerCheck, type CheckOptions } from "./check-call.ts";
import { LoadShedding, type SheddingOptions } from "./load-shedding.ts";
import { type CallName, MixerMetrics } from "./mixer-metrics.ts";
import { answerReport } from "./report-call.ts";
import { defaultRollUp, RollUp, type RollUpLimits } from "./roll-up.ts";

export interface MixerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly shedding: SheddingOptions;
  /** Of what proxies counted. */
  readonly rollUp?: RollUpLimits;
}

/** Metadata of a proxy of ours, which has answered in place what it can. */
export const REMOTE_ONLY_HEADER = "mesh-remote-only";
/** Metadata of answers: kept ones of another version are void. */
export const POLICY_VERSION_HEADER = "mesh-policy-version";
/** What a verdict tells and the message has no place for. */
const RULE_HEADER = "mesh-policy-rule";
const RETRY_AFTER_HEADER = "mesh-retry-after-ms";
const PROBLEMS_LOGGED_MAX = 20;
const REFUSAL_NOTE_MS = 10_000;

export class Mixer {
  readonly metrics = new Metrics();
  readonly exposition = new Exposition();
  /** Who runs where, for generators of attributes. */
  readonly #workloads = new WorkloadIndex();
  readonly #options: MixerOptions;
  readonly #runtime: PolicyRuntime;
  readonly #shedding: LoadShedding;
  readonly #counts: MixerMetrics;
  readonly #rollUp: RollUp;
  /** Of the policy in force; undefined: none yet. */
  #version: string | undefined;
  #policyBytes: Uint8Array | undefined;
  /** In force: what is broken later stays as it is in its set. */
  #kept: KeepingResolved | undefined;
  #config: ProxyConfig | undefined;
  #notedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: MixerOptions) {
    const { clock, random, log, shedding } = options;
    this.#options = options;
    this.#counts = new MixerMetrics(this.metrics);
    this.#shedding = new LoadShedding(shedding, clock, this.metrics, (why) => this.#overload(why));
    const { metrics, exposition } = this;
    const { rollUp = defaultRollUp } = options;
    this.#rollUp = new RollUp({ clock, metrics, exposition, ...rollUp });
    const parts = { metrics, exposition, workloads: this.#workloads };
    this.#runtime = new PolicyRuntime({ clock, random, log, ...parts });
  }

  /** A policy is in force: callers may come. */
  get isReady(): boolean {
    return this.#version !== undefined;
  }

  /** In force; undefined: none was given yet. */
  get config(): ProxyConfig | undefined {
    return this.#config;
  }

  /** Every rule concerns a mixer, and it counts what it is asked itself. */
  policyView(): PolicyView {
    const { generation } = this.#runtime.current;
    if (this.#kept === undefined) return { generation: 0, rules: [], problems: [], kept: [] };
    const { policy: resolved, problems, kept } = this.#kept;
    return viewPolicy({
      ...{ generation, resolved, problems, kept },
      figuresOf: (rule) => this.#runtime.statistics.of(rule),
      concerns: () => true,
    });
  }

  get methods(): readonly UnaryMethod[] {
    return [
      unaryMethod(MixerDesc.method.check, (request, call) => this.check(request, call)),
      unaryMethod(MixerDesc.method.report, (request, call) => this.report(request, call)),
      unaryMethod(MetricService.method.push, async (request) => this.#rollUp.push(request)),
    ];
  }

  /** Best effort: what is broken stays in its last good form, and is told; all else is in force. */
  configure(config: ProxyConfig): void {
    this.#config = config;
    this.#workloads.replace(config.workloads);
    const message = config.policy ?? create(PolicyConfigSchema);
    const bytes = toBinary(PolicyConfigSchema, message);
    const isSame =
      this.#policyBytes !== undefined && Buffer.compare(bytes, this.#policyBytes) === 0;
    this.#policyBytes = bytes;
    // Two mixers of one mesh have one version, whenever each of them was started.
    this.#version = Bun.hash.wyhash(bytes).toString(36);
    if (isSame) return;
    this.#kept = resolveKeeping(policyFromMessage(message), this.#kept?.set, (one) =>
      resolvePolicy(one, { adapters, templates }, { rootNamespace: policyRootNamespace }),
    );
    const { policy, problems, set, kept } = this.#kept;
    const { log } = this.#options;
    for (const problem of problems.slice(0, PROBLEMS_LOGGED_MAX)) log.warn(formatProblem(problem));
    const { generation } = this.#runtime.publish(policy);
    this.#counts.configured(set, problems.length);
    log.info("policy in force", {
      generation,
      rules: policy.rules.length,
      handlers: policy.handlers.length,
      problems: problems.length,
      kept: kept.length,
    });
  }

  check(request: CheckRequest, call: CallMetadata): Promise<CheckResponse> {
    return this.#answer("Check", 1, () => {
      call.setHeader(POLICY_VERSION_HEADER, this.#version ?? "");
      let waitMs = 0;
      const onRefused = (retryAfterMs: number): void => {
        if (retryAfterMs <= waitMs) return;
        waitMs = retryAfterMs;
        call.setHeader(RETRY_AFTER_HEADER, String(Math.ceil(waitMs)));
      };
      const onVerdict = ({ rule, retryAfterMs }: Verdict): void => {
        if (rule !== "") call.setHeader(RULE_HEADER, rule);
        onRefused(retryAfterMs);
      };
      return answerCheck(request, { ...this.#askOptions(call), onVerdict, onRefused });
    });
  }

  report(request: ReportRequest, call: CallMetadata): Promise<ReportResponse> {
    const entries = request.attributes.length;
    return this.#answer("Report", entries, async () => {
      await answerReport(request, this.#askOptions(call));
      this.#counts.entries.add(entries);
      return create(ReportResponseSchema);
    });
  }

  /** Handlers say their last words; nothing is answered any more. */
  close(): void {
    this.#runtime.close();
  }

  async #answer<T>(call: CallName, cost: number, answer: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const startMs = clock.nowMs();
    let code: number = CallStatus.ok;
    try {
      if (!this.#shedding.admit(cost)) {
        const words = "Server is currently overloaded. Please try again.";
        throw new CallFault(CallStatus.unavailable, words);
      }
      const answered = await answer();
      this.#shedding.took(clock.nowMs() - startMs);
      return answered;
    } catch (thrown) {
      code = thrown instanceof CallFault ? thrown.code : CallStatus.internal;
      throw thrown;
    } finally {
      this.#counts.answered(call, grpcStatusNames[code] ?? "Unknown", clock.nowMs() - startMs);
    }
  }

  #askOptions(call: CallMetadata): CheckOptions {
    return {
      engine: this.#runtime.current,
      nowMs: this.#options.clock.wallMs(),
      onlyRemote: call.header(REMOTE_ONLY_HEADER) !== undefined,
      onUndecodable: (reason) => this.#counts.undecodable(reason),
    };
  }

  #overload(reason: string): void {
    const { clock, log, shedding } = this.#options;
    if (clock.nowMs() - this.#notedAtMs < REFUSAL_NOTE_MS) return;
    this.#notedAtMs = clock.nowMs();
    log.warn("overloaded", { reason, mode: shedding.mode });
  }
}
