/** What the mixer counts about itself, by the names that its operators know. */
import { MESH_VERSION } from "../core/version.ts";
import type { PolicySet } from "../model/policy-set.ts";
import type { Histogram } from "../telemetry/histogram.ts";
import type { Counter, Metrics } from "../telemetry/metrics.ts";

export type CallName = "Check" | "Report";

export class MixerMetrics {
  readonly metrics: Metrics;
  readonly #configs: (set: PolicySet, problems: number) => void;
  readonly #durations: Readonly<Record<CallName, Histogram>>;
  readonly entries: Counter;
  readonly #calls = new Map<string, Counter>();

  constructor(metrics: Metrics) {
    this.metrics = metrics;
    const labels = { version: MESH_VERSION };
    metrics.gauge("mesh_build_info", "The version of this binary.", labels).set(1);
    const gauge = (name: string, help: string) => metrics.gauge(`mixer_config_${name}`, help);
    const attributes = gauge("attributes_total", "Attributes that rules may speak of.");
    const handlers = gauge("handler_configs_total", "Handlers that are declared.");
    const instances = gauge("instance_configs_total", "Instances that are declared.");
    const rules = gauge("rule_configs_total", "Rules that are declared.");
    const errors = gauge("errors_total", "What is wrong with the policy in force.");
    this.#configs = (set, problems) => {
      attributes.set(set.manifests.reduce((sum, { spec }) => sum + spec.attributes.length, 0));
      handlers.set(set.handlers.length);
      instances.set(set.instances.length);
      rules.set(set.rules.length);
      errors.set(problems);
    };
    const duration = (call: CallName): Histogram =>
      metrics.histogram("mixer_call_duration_milliseconds", "From message to answer.", { call });
    this.#durations = { Check: duration("Check"), Report: duration("Report") };
    this.entries = metrics.counter("mixer_report_entries_total", "Exchanges that were reported.");
  }

  configured(set: PolicySet, problems: number): void {
    this.#configs(set, problems);
  }

  /** `code`: of gRPC, in its words. */
  answered(call: CallName, code: string, ms: number): void {
    const key = `${call} ${code}`;
    let counter = this.#calls.get(key);
    if (counter === undefined) {
      const help = "Calls by how they ended.";
      counter = this.metrics.counter("mixer_calls_total", help, { call, code });
      this.#calls.set(key, counter);
    }
    counter.increment();
    this.#durations[call].observe(ms);
  }

  undecodable(reason: string): void {
    const help = "Attributes and entries that could not be decoded.";
    this.metrics.counter("mixer_undecodable_total", help, { reason }).increment();
  }
}
