/**
 * What Istio's default telemetry costs an exchange of a proxy after it is over: rules of
 * rules/telemetry, run as a proxy runs them, over the facts that an exchange leaves.
 * Nanoseconds of processor time for each exchange, interleaved; callers, services and codes vary.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { adapters } from "../adapter/inventory.ts";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { formatProblem, isError } from "../core/problem.ts";
import { systemRandom } from "../core/random.ts";
import { policySetOf } from "../dialect/policy/policy-set.ts";
import { readDocuments } from "../dialect/read.ts";
import { defaultHeadLimits } from "../http/message-head.ts";
import { policyRootNamespace } from "../model/policy-set.ts";
import { Exposition } from "../policy/exposition.ts";
import { resolvePolicy } from "../policy/resolve.ts";
import { PolicyRuntime } from "../policy/runtime.ts";
import { templates } from "../policy/template.ts";
import { Endpoint } from "../proxy/cluster/endpoint.ts";
import { serviceNameOf } from "../proxy/cluster/service-name.ts";
import { ConnectionFacts } from "../proxy/policy/connection-facts.ts";
import type { ExchangeFacts } from "../proxy/policy/exchange-facts.ts";
import { ExchangePolicy } from "../proxy/policy/exchange-policy.ts";
import type { PolicyNode } from "../proxy/policy/workload.ts";
import { Metrics } from "../telemetry/metrics.ts";

const telemetry = join(import.meta.dir, "..", "..", "rules", "telemetry");
const ROUNDS = 7;
const TURNS = 1000;
/** Exchanges that end in one turn of the event loop. */
const EXCHANGES = 64;

const node: PolicyNode = {
  id: "web-1x8k2m.default",
  service: "web.default.svc.cluster.local",
  namespace: "default",
  labels: { version: "v1", app: "web" },
  address: "10.0.0.7",
  version: "1.2",
  mode: "sidecar",
};

const variants: readonly { readonly name: string; readonly files: readonly string[] }[] = [
  { name: "metrics", files: ["metrics.yaml"] },
  { name: "access log", files: ["access-log.yaml"] },
  { name: "metrics and access log", files: ["metrics.yaml", "access-log.yaml"] },
];

const services = Array.from({ length: 4 }, (_, i) => {
  const known = { labels: { version: `v${i}` }, workload: `svc-${i}.default` };
  const facts = { ...known, locality: "", meshTransport: false, identity: "" };
  const at = { address: `10.0.1.${i}`, port: 9080 };
  const endpoint = new Endpoint(at, facts, undefined as never);
  return { endpoint, service: serviceNameOf(`svc-${i}.default.svc.cluster.local`) };
});
const connections = Array.from(
  { length: 8 },
  (_, i) =>
    new ConnectionFacts(
      { address: "127.0.0.1", port: 4_000 + i },
      { address: "10.0.0.7", port: 15_001 },
      undefined,
    ),
);

/** Ids differ, as they do in a mesh. */
const heads = Array.from({ length: 64 }, (_, i) =>
  new TextEncoder().encode(
    [
      `GET /api/v1/products/${i}/reviews HTTP/1.1`,
      "Host: reviews:9080",
      "User-Agent: python-requests/2.18.4",
      "Accept: */*",
      `X-Request-Id: 5b2f3a10-77aa-9a1c-b2d4-${String(i).padStart(12, "0")}`,
      "X-Forwarded-For: 10.0.0.9",
      "",
      "",
    ].join("\r\n"),
  ),
);

class Running {
  readonly samples: number[] = [];
  readonly name: string;
  readonly #runtime: PolicyRuntime;
  readonly #policy: ExchangePolicy;
  #count = 0;

  constructor({ name, files }: (typeof variants)[number]) {
    this.name = name;
    const text = files.map((file) => readFileSync(join(telemetry, file), "utf8")).join("\n---\n");
    // To where nobody looks: what is measured is making lines and handing them to the system.
    const toFile = text.replace("outputAsJson: true", "logStream: FILE\n    outputPath: /dev/null");
    const { configs, problems } = readDocuments(toFile, { file: "bench", namespace: "default" });
    const rootNamespace = policyRootNamespace;
    const inventory = { adapters, templates };
    const resolved = resolvePolicy(policySetOf(configs), inventory, { rootNamespace });
    const errors = [...problems, ...resolved.problems].filter(isError);
    if (errors.length > 0) throw new Error(errors.map(formatProblem).join("\n"));
    const metrics = new Metrics({ seriesMax: 1_000 });
    this.#runtime = new PolicyRuntime({
      ...{ clock: systemClock, log: new Log("bench"), metrics, random: systemRandom },
      ...{ exposition: new Exposition(), isProxy: true },
    });
    this.#runtime.publish(resolved.policy);
    const engine = this.#runtime.current;
    this.#policy = new ExchangePolicy({
      ...{ engine, vocabulary: engine.vocabulary, node, kind: "outbound", mixer: undefined },
      ...{ limits: defaultHeadLimits, dropped: metrics.counter("dropped", "") },
    });
  }

  async sample(): Promise<number> {
    const start = process.cpuUsage();
    for (let turn = 0; turn < TURNS; turn++) {
      for (let i = 0; i < EXCHANGES; i++) this.#end();
      await new Promise(setImmediate);
    }
    const { user, system } = process.cpuUsage(start);
    return ((user + system) * 1_000) / (TURNS * EXCHANGES);
  }

  close(): void {
    this.#runtime.close();
  }

  #end(): void {
    const facts = this.#policy.queue.take();
    if (facts === undefined) throw new Error("the queue is full");
    describe(facts, this.#count++, this.#policy.readsRequestHead);
    this.#policy.queue.put(facts);
  }
}

function describe(facts: ExchangeFacts, count: number, keepsHead: boolean): void {
  const { endpoint, service } = services[count & 3]!;
  const head = heads[count & 63]!;
  facts.connection = connections[count & 7]!;
  facts.service = service;
  facts.endpoint = endpoint;
  facts.startWallMs = 1_700_000_000_000 + count * 0.4;
  facts.isOver = true;
  facts.durationMs = 1 + (count & 15) * 0.3;
  facts.status = (count & 31) === 31 ? 404 : 200;
  facts.responseBytes = 190;
  facts.responseHeadBytes = 170;
  facts.requestHeadBytes = head.length;
  if (!keepsHead) return;
  if (facts.requestOctets.length < head.length) facts.requestOctets = new Uint8Array(1_024);
  facts.requestOctets.set(head);
  facts.requestOctetCount = head.length;
}

export async function benchPolicyTelemetry(): Promise<void> {
  const running = variants.map((variant) => new Running(variant));
  for (let round = 0; round < ROUNDS + 3; round++)
    for (const one of running) {
      const ns = await one.sample();
      if (round >= 3) one.samples.push(ns);
    }
  console.log("policy: default telemetry in the engine, ns of processor time an exchange");
  for (const { name, samples } of running) {
    const sorted = samples.toSorted((a, b) => a - b);
    const [least = 0, median = 0] = [sorted[0], sorted[sorted.length >> 1]];
    const figures = `${least.toFixed(0).padStart(7)} least ${median.toFixed(0).padStart(7)} median`;
    console.log(`  ${name.padEnd(34)}${figures}`);
  }
  for (const one of running) one.close();
}
