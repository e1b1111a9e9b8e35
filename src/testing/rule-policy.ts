/** Policy of rules as operators write them, as the parts of a proxy ask it. */
import { adapters } from "../adapter/inventory.ts";
import type { Value } from "../attribute/value.ts";
import { formatProblem } from "../core/problem.ts";
import { policySetOf } from "../dialect/policy/policy-set.ts";
import { readDocuments } from "../dialect/read.ts";
import { defaultHeadLimits } from "../http/message-head.ts";
import { policyRootNamespace } from "../model/policy-set.ts";
import { type Adapter, localAdapter } from "../policy/adapter.ts";
import { QuotaMatcher } from "../policy/quota-match.ts";
import { resolvePolicy } from "../policy/resolve.ts";
import type { ResolvedPolicy } from "../policy/resolved-policy.ts";
import { checkOk, reported } from "../policy/result.ts";
import { templates } from "../policy/template.ts";
import { ExchangePolicy } from "../proxy/policy/exchange-policy.ts";
import type { MixerClient } from "../proxy/policy/mixer-seat.ts";
import type { ReporterKind } from "../proxy/policy/node-reader.ts";
import { RelayPolicy } from "../proxy/policy/relay-policy.ts";
import type { PolicyNode } from "../proxy/policy/workload.ts";
import { policyRuntime, type TestRuntime } from "./policy-runtime.ts";

export const callerNode: PolicyNode = {
  id: "caller-1.default",
  service: "caller.default.svc.cluster.local",
  namespace: "default",
  labels: { version: "v1" },
  address: "10.0.0.1",
  version: "test",
  mode: "sidecar",
};

export class RulePolicy {
  readonly test: TestRuntime;
  readonly #policy: ResolvedPolicy;

  /** Throws where anything is wrong with the rules. `more`: adapters of the test's own. */
  constructor(rules: string, more: readonly Adapter[] = []) {
    const { configs, problems } = readDocuments(rules, {
      ...{ file: "rules.yaml", namespace: "default" },
    });
    const resolved = resolvePolicy(
      policySetOf(configs),
      { adapters: [...adapters, ...more], templates },
      { rootNamespace: policyRootNamespace },
    );
    const wrong = [...problems, ...resolved.problems];
    if (wrong.length > 0) throw new Error(wrong.map(formatProblem).join("\n"));
    this.#policy = resolved.policy;
    this.test = policyRuntime(undefined, true);
    this.test.runtime.publish(this.#policy);
  }

  /** As an engine of the proxy asks it. */
  at(kind: ReporterKind, mixer?: MixerClient, node = callerNode): ExchangePolicy {
    const { quotaSpecs, httpApiSpecs: apiSpecs } = this.#policy;
    const { vocabulary } = this.#follow(mixer);
    return new ExchangePolicy({
      ...{ engine: this.test.runtime.current, vocabulary, node, kind, mixer, apiSpecs },
      limits: defaultHeadLimits,
      dropped: this.test.metrics.counter("dropped", ""),
      quotas: new QuotaMatcher(quotaSpecs, vocabulary),
    });
  }

  /** As relays ask it. */
  ofRelays(kind: ReporterKind, mixer?: MixerClient): RelayPolicy {
    const { vocabulary } = this.#follow(mixer);
    const engine = this.test.runtime.current;
    return new RelayPolicy({ engine, vocabulary, node: callerNode, kind, mixer });
  }

  #follow(mixer: MixerClient | undefined) {
    const { current } = this.test.runtime;
    mixer?.follow(current, current.vocabulary);
    return current;
  }
}

/** `noting`, an adapter that hands the values of each log entry to the test, by rising names. */
export function noting(note: (values: readonly Value[]) => void): Adapter {
  return localAdapter({
    name: "noting",
    templates: ["logentry"],
    read: () => ({}),
    open: () => ({
      check: () => checkOk,
      report(instances) {
        for (const one of instances)
          if (one.template === "logentry")
            note(Object.values(one.variables ?? {}).map(({ value }) => value));
        return reported;
      },
      close() {},
    }),
  });
}

/** A rule that notes these expressions. */
export function notingRule(expressions: readonly string[], match = ""): string {
  const variables = Object.fromEntries(
    expressions.map((one, i) => [`v${String(i).padStart(2, "0")}`, one]),
  );
  return rule("notes", {
    ...(match !== "" && { match }),
    actions: [
      {
        handler: { compiledAdapter: "noting", params: {} },
        instances: [{ compiledTemplate: "logentry", params: { variables } }],
      },
    ],
  });
}

export interface Denial {
  /** Of gRPC. */
  readonly code: number;
  readonly message?: string;
  readonly match?: string;
  readonly direct?: object;
}

/** A rule that denies by a handler that is called as it is. */
export function denyingRule(name: string, { code, message = "", match, direct }: Denial): string {
  const type = "type.googleapis.com/istio.policy.v1beta1.DirectHttpResponse";
  const details = direct === undefined ? [] : [{ "@type": type, ...direct }];
  const params = { status: { code, message, details }, validDuration: "0s" };
  const handler = document("handler", name, { compiledAdapter: "denier", params });
  return `${handler}${rule(name, {
    ...(match !== undefined && { match }),
    actions: [{ handler: name, instances: [{ compiledTemplate: "checknothing" }] }],
  })}`;
}

/** A rule whose check only a mixer can make, of a template that needs no values. */
export function remoteRule(name: string, failPolicy: "open" | "closed" = "closed"): string {
  const handler = { compiledAdapter: "webhook", params: { url: "http://127.0.0.1:1/" } };
  const instances = [{ compiledTemplate: "checknothing" }];
  return rule(name, { failPolicy, actions: [{ handler, instances }] });
}

export function rule(name: string, spec: object): string {
  return document("rule", name, spec);
}

export function document(kind: string, name: string, spec: object): string {
  const metadata = { name, namespace: "default" };
  const whole = { apiVersion: "config.istio.io/v1alpha2", kind, metadata, spec };
  return `---\n${JSON.stringify(whole)}\n`;
}
