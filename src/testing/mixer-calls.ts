/** A mixer in memory, asked by its methods as a server would, and what tests ask it with. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { CheckRequestSchema, ReportRequestSchema } from "../api/gen/istio/mixer/v1/mixer_pb.ts";
import { ProxyConfigSchema } from "../api/gen/mesh/v1/proxy_config_pb.ts";
import type { CallMetadata } from "../api/unary-method.ts";
import { encodeAttributes } from "../attribute/attribute-message.ts";
import type { WireValue } from "../attribute/bag.ts";
import { Log } from "../core/log.ts";
import { formatProblem } from "../core/problem.ts";
import { seededRandom } from "../core/random.ts";
import { declaredPolicy } from "../dialect/policy/policy-set.ts";
import { readDocuments } from "../dialect/read.ts";
import type { SheddingOptions } from "../mixer/load-shedding.ts";
import { Mixer } from "../mixer/mixer.ts";
import { monitorFetch } from "../mixer/monitor.ts";
import { policyToMessage } from "../policy/policy-message.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** To be called after each test. */
export const closing: (() => void | Promise<void>)[] = [];

export const noShedding: SheddingOptions = {
  ...{ mode: "disabled", averageLatencyMs: 0, latencyEnforcementRate: 0 },
  ...{ latencyHalfLifeMs: 1_000, requestsPerSecond: 0, burst: 0 },
};

export function mixerWith(
  rules: string,
  options: Partial<SheddingOptions> = {},
  clock = new VirtualClock(),
) {
  const mixer = new Mixer({
    ...{ clock, random: seededRandom(1), shedding: { ...noShedding, ...options } },
    log: new Log("test", { level: "error" }, () => {}),
  });
  closing.push(() => mixer.close());
  configure(mixer, rules);
  return { mixer, clock };
}

export function configure(mixer: Mixer, rules: string): void {
  const { configs, problems } = readDocuments(rules, { file: "rules.yaml", namespace: "default" });
  if (problems.length > 0) throw new Error(problems.map(formatProblem).join("\n"));
  const policy = policyToMessage(declaredPolicy(configs));
  mixer.configure(create(ProxyConfigSchema, { policy }));
}

const text = (value: string): WireValue => ({ type: "STRING", value });

/** A call in memory: what is in its metadata, and what came back in it. */
export function metadata(headers: Readonly<Record<string, string>> = {}) {
  const sent = new Map<string, string>();
  const call: CallMetadata = {
    header: (name) => headers[name],
    setHeader: (name, value) => void sent.set(name, value),
  };
  return { call, sent };
}

export async function check(mixer: Mixer, request: MessageInitShape<typeof CheckRequestSchema>) {
  return await mixer.check(create(CheckRequestSchema, request), metadata().call);
}

export async function fault(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => "no fault",
    (thrown: { code: number; message: string }) => [thrown.code, thrown.message],
  );
}

export async function metricsOf(mixer: Mixer): Promise<string> {
  return await (await monitorFetch(mixer)(new Request("http://localhost/metrics"))).text();
}

export const countRequests = `
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: prom, namespace: istio-system }
spec:
  compiledAdapter: prometheus
  params:
    metrics:
    - { name: requests_total, instance_name: requests.instance.istio-system, kind: COUNTER,
        label_names: [user] }
---
apiVersion: config.istio.io/v1alpha2
kind: instance
metadata: { name: requests, namespace: istio-system }
spec:
  compiledTemplate: metric
  params: { value: request.size, dimensions: { user: source.user | "nobody" } }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: count, namespace: istio-system }
spec: { actions: [{ handler: prom, instances: [requests] }] }
`;

/** What is reported of one exchange. */
export function entry(name: string | undefined, size: number | undefined) {
  const values: [string, WireValue][] = [];
  if (name !== undefined) values.push(["source.user", text(name)]);
  if (size !== undefined) values.push(["request.size", { type: "INT64", value: size }]);
  return encodeAttributes(values);
}

export async function report(mixer: Mixer, request: MessageInitShape<typeof ReportRequestSchema>) {
  return await mixer.report(create(ReportRequestSchema, request), metadata().call);
}
