/** A mixer with rules on a port of its own, and the policy that a proxy beside it would have. */
import { create } from "@bufbuild/protobuf";
import { adapters } from "../adapter/inventory.ts";
import { ProxyConfigSchema } from "../api/gen/mesh/v1/proxy_config_pb.ts";
import type { ApiServer } from "../api/serve.ts";
import { serveUnary } from "../api/serve-unary.ts";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { formatProblem } from "../core/problem.ts";
import { systemRandom } from "../core/random.ts";
import { declaredPolicy, policySetOf } from "../dialect/policy/policy-set.ts";
import { readDocuments } from "../dialect/read.ts";
import type { SheddingOptions } from "../mixer/load-shedding.ts";
import { Mixer } from "../mixer/mixer.ts";
import { policyRootNamespace } from "../model/policy-set.ts";
import { Exposition } from "../policy/exposition.ts";
import { policyToMessage } from "../policy/policy-message.ts";
import { resolvePolicy } from "../policy/resolve.ts";
import { PolicyRuntime } from "../policy/runtime.ts";
import { templates } from "../policy/template.ts";
import { Metrics } from "../telemetry/metrics.ts";

const noShedding: SheddingOptions = {
  ...{ mode: "disabled", averageLatencyMs: 0, latencyEnforcementRate: 0 },
  ...{ latencyHalfLifeMs: 1_000, requestsPerSecond: 0, burst: 0 },
};
const quiet = (subject: string): Log => new Log(subject, { level: "error" }, () => {});

function read(rules: string) {
  const { configs, problems } = readDocuments(rules, { file: "rules.yaml", namespace: "default" });
  if (problems.length > 0) throw new Error(problems.map(formatProblem).join("\n"));
  return configs;
}

export interface ServedMixer {
  readonly mixer: Mixer;
  readonly port: number;
  configure(rules: string): void;
  close(): Promise<void>;
}

export async function serveMixer(rules: string, port = 0): Promise<ServedMixer> {
  const mixer = new Mixer({
    ...{ clock: systemClock, random: systemRandom, log: quiet("mixer"), shedding: noShedding },
  });
  const configure = (text: string): void =>
    mixer.configure(
      create(ProxyConfigSchema, { policy: policyToMessage(declaredPolicy(read(text))) }),
    );
  configure(rules);
  const server: ApiServer = await serveUnary({
    ...{ hostname: "127.0.0.1", port, clock: systemClock, methods: mixer.methods },
    ...{ messageBytesMax: 1 << 20, heldBytesMax: 32 << 20, callsMax: 1_000 },
    fetch: () => new Response(null, { status: 404 }),
  });
  const close = async (): Promise<void> => {
    await server.close();
    mixer.close();
  };
  return { mixer, port: server.port, configure, close };
}

/** Of a proxy: handlers that need the mixer are left to it. */
export function proxyRuntime(rules: string): PolicyRuntime {
  const runtime = new PolicyRuntime({
    ...{ clock: systemClock, random: systemRandom, log: quiet("proxy") },
    metrics: new Metrics({ seriesMax: 1_000 }),
    exposition: new Exposition(),
  });
  publishRules(runtime, rules);
  return runtime;
}

export function publishRules(runtime: PolicyRuntime, rules: string): void {
  const rootNamespace = policyRootNamespace;
  const { policy, problems } = resolvePolicy(
    policySetOf(read(rules)),
    { adapters, templates },
    { rootNamespace },
  );
  if (problems.length > 0) throw new Error(problems.map(formatProblem).join("\n"));
  runtime.publish(policy);
}
