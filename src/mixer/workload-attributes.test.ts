/** Istio's default policy at a mixer: who calls is found in the registries' workloads. */
import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { CheckRequestSchema, ReportRequestSchema } from "../api/gen/istio/mixer/v1/mixer_pb.ts";
import { ProxyConfigSchema } from "../api/gen/mesh/v1/proxy_config_pb.ts";
import { encodeAttributes } from "../attribute/attribute-message.ts";
import type { WireValue } from "../attribute/bag.ts";
import { parseIpAddress } from "../attribute/ip-address.ts";
import { Log } from "../core/log.ts";
import { seededRandom } from "../core/random.ts";
import { declaredPolicy } from "../dialect/policy/policy-set.ts";
import { readDocuments } from "../dialect/read.ts";
import { policyToMessage } from "../policy/policy-message.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { Mixer } from "./mixer.ts";
import { monitorFetch } from "./monitor.ts";

const telemetry = join(import.meta.dir, "..", "..", "rules", "telemetry");
const denyReviews = `
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: no-reviews, namespace: istio-system }
spec:
  match: source.workload.name == "reviews-v1" && source.labels["app"] == "reviews"
  actions:
  - handler: { compiledAdapter: denier, params: { status: { code: 7, message: not you } } }
    instances: [{ compiledTemplate: checknothing }]
`;
const rules = ["workload-attributes.yaml", "metrics.yaml"]
  .map((file) => readFileSync(join(telemetry, file), "utf8"))
  .join("\n---\n")
  .concat(denyReviews);

const mixers: Mixer[] = [];
afterEach(() => {
  for (const mixer of mixers.splice(0)) mixer.close();
});

function mixerThatKnows(...ids: readonly string[]) {
  return mixerOf(rules, ids);
}

function mixerOf(written: string, ids: readonly string[]) {
  const mixer = new Mixer({
    ...{ clock: new VirtualClock(), random: seededRandom(1) },
    log: new Log("test", { level: "error" }, () => {}),
    shedding: {
      ...{ mode: "disabled", averageLatencyMs: 0, latencyEnforcementRate: 0 },
      ...{ latencyHalfLifeMs: 1_000, requestsPerSecond: 0, burst: 0 },
    },
  });
  mixers.push(mixer);
  const { configs, problems } = readDocuments(written, { file: "r.yaml", namespace: "default" });
  expect(problems).toEqual([]);
  const policy = policyToMessage(declaredPolicy(configs));
  const know = (...known: readonly string[]): void => {
    const workloads = known.map((id, i) => ({
      ...{ id, namespace: "default", labels: { version: "v1" }, addresses: [`10.0.0.${i + 1}`] },
      ...{ ports: [9080], services: [`${id.split("-")[0]}.default.svc.cluster.local`] },
    }));
    mixer.configure(create(ProxyConfigSchema, { policy, workloads }));
  };
  know(...ids);
  return { mixer, know };
}

const call = { header: () => undefined, setHeader: () => undefined };
const text = (value: string): WireValue => ({ type: "STRING", value });
const address = (value: string): WireValue => ({
  type: "BYTES",
  value: parseIpAddress(value)!,
});

async function code(mixer: Mixer, name: string, value: WireValue): Promise<number | undefined> {
  const attributes = encodeAttributes([[name, value]]);
  const request = create(CheckRequestSchema, { attributes });
  const answer = await mixer.check(request, call);
  return answer.precondition?.status?.code;
}

test.each<[who: string, name: string, value: WireValue, denied: boolean]>([
  ["a workload by its id", "source.uid", text("kubernetes://reviews-1x.default"), true],
  ["a workload by its address", "source.ip", address("10.0.0.1"), true],
  ["another one", "source.ip", address("10.0.0.2"), false],
  ["somebody unknown", "source.uid", text("kubernetes://who.default"), false],
])("%s is judged by what is known of it", async (_, name, value, denied) => {
  const { mixer } = mixerThatKnows("reviews-1x.default", "ratings-1x.default");
  expect(await code(mixer, name, value)).toBe(denied ? 7 : 0);
});

test("the kinds of older releases mean the same, references by kind and all", async () => {
  const older = `
apiVersion: config.istio.io/v1alpha2
kind: kubernetesenv
metadata: { name: handler, namespace: istio-system }
spec: { kubeconfig_path: "", cacheRefreshDuration: 5m }
---
apiVersion: config.istio.io/v1alpha2
kind: kubernetes
metadata: { name: attributes, namespace: istio-system }
spec:
  source_uid: source.uid | ""
  attribute_bindings:
    source.labels: $out.source_labels | emptyStringMap()
    source.workload.name: $out.source_workload_name | "unknown"
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: kubeattrgenrulerule, namespace: istio-system }
spec:
  actions: [{ handler: handler.kubernetesenv, instances: [attributes.kubernetes] }]
${denyReviews}`;
  const { mixer } = mixerOf(older, ["reviews-1x.default"]);
  expect(await code(mixer, "source.uid", text("kubernetes://reviews-1x.default"))).toBe(7);
  expect(await code(mixer, "source.uid", text("kubernetes://who.default"))).toBe(0);
});

test("who comes and goes is known at once, with no change of policy", async () => {
  const { mixer, know } = mixerThatKnows();
  const asked = () => code(mixer, "source.uid", text("reviews-1x.default"));
  expect(await asked()).toBe(0);
  know("reviews-1x.default");
  expect(await asked()).toBe(7);
  know();
  expect(await asked()).toBe(0);
});

test("a metric has the names of both workloads", async () => {
  const { mixer } = mixerThatKnows("reviews-1x.default", "ratings-1x.default");
  const attributes = encodeAttributes([
    ["context.protocol", text("http")],
    ["source.uid", text("kubernetes://reviews-1x.default")],
    ["destination.ip", address("10.0.0.2")],
  ]);
  await mixer.report(create(ReportRequestSchema, { attributes: [attributes] }), call);
  const page = await (await monitorFetch(mixer)(new Request("http://m/metrics"))).text();
  const series = page.split("\n").find((line) => line.startsWith("istio_requests_total{"));
  for (const label of [
    ...['source_workload="reviews-v1"', 'source_workload_namespace="default"'],
    ...['source_app="reviews"', 'source_version="v1"', 'destination_workload="ratings-v1"'],
  ])
    expect(series).toContain(label);
});
