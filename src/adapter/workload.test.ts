/** kubernetesenv: what its outputs are, for whom, and where nobody is known. */
import { describe, expect, test } from "bun:test";
import { parseIpAddress, shortestIpAddress } from "../attribute/ip-address.ts";
import type { Instance } from "../policy/template.ts";
import { type KnownWorkload, WorkloadIndex } from "../policy/workload-directory.ts";
import { adapterEnvironment, openLocal, problemsOf } from "../testing/adapter-environment.ts";
import { workload } from "./workload.ts";

const reviews: KnownWorkload = {
  ...{ id: "reviews-1x.default", namespace: "default", serviceAccount: "bookinfo" },
  ...{ labels: { version: "v1" }, addresses: ["10.0.0.1", "10.0.1.1"], ports: [9080] },
  services: ["reviews.default.svc.cluster.local"],
};
const job: KnownWorkload = {
  ...{ id: "nightly.batch.jobs", namespace: "jobs", serviceAccount: "" },
  ...{ labels: {}, addresses: [], ports: [], services: [] },
};
const local = (id: string, port: number): KnownWorkload => ({
  ...job,
  ...{ id, addresses: ["127.0.0.1"], ports: [port] },
});
const ip = (text: string): Uint8Array => shortestIpAddress(parseIpAddress(text)!);

function handler() {
  const workloads = new WorkloadIndex();
  workloads.replace([reviews, job, local("a.jobs", 1), local("b.jobs", 2)]);
  const opened = openLocal(workload, {}, { ...adapterEnvironment(), workloads });
  const ask = (fields: Omit<Instance<"kubernetes">, "name">) =>
    opened.generate!({ template: "kubernetes", name: "attributes", ...fields });
  return { workloads, ask };
}

const ofReviews = (side: "source" | "destination") => ({
  [`${side}PodUid`]: "kubernetes://reviews-1x.default",
  [`${side}PodName`]: "reviews-1x",
  [`${side}PodIp`]: ip("10.0.0.1"),
  [`${side}Namespace`]: "default",
  [`${side}ServiceAccountName`]: "bookinfo",
  [`${side}WorkloadName`]: "reviews-v1",
  [`${side}WorkloadNamespace`]: "default",
  [`${side}WorkloadUid`]: "istio://default/workloads/reviews-v1",
  [`${side}Owner`]: "istio://default/workloads/reviews-v1",
  [`${side}Labels`]: new Map([
    ["version", "v1"],
    ["app", "reviews"],
  ]),
});

describe("a workload that is known", () => {
  const { ask } = handler();
  test("calls, by its uid", () => {
    const { output, fault } = ask({ sourceUid: "kubernetes://reviews-1x.default" });
    expect(fault).toBe("");
    expect(output).toEqual(ofReviews("source"));
  });
  test("calls, by any of its addresses", () => {
    expect(ask({ sourceIp: ip("10.0.1.1"), sourceUid: "" }).output).toEqual(ofReviews("source"));
  });
  test("is called", () => {
    expect(ask({ destinationIp: ip("10.0.0.1") }).output).toEqual(ofReviews("destination"));
  });
  test("calls another, as often as it likes", () => {
    for (let i = 0; i < 2; i++) {
      const { output } = ask({ sourceUid: "nightly.batch.jobs", destinationIp: ip("10.0.0.1") });
      expect(output).toEqual({
        ...ofReviews("destination"),
        ...{ sourcePodUid: "kubernetes://nightly.batch.jobs", sourcePodName: "nightly.batch" },
        ...{ sourceNamespace: "jobs", sourceLabels: new Map() },
        ...{ sourceWorkloadName: "nightly.batch", sourceWorkloadNamespace: "jobs" },
        sourceWorkloadUid: "istio://jobs/workloads/nightly.batch",
        sourceOwner: "istio://jobs/workloads/nightly.batch",
      });
      expect(ask({ sourceUid: "a.jobs", destinationUid: "b.jobs" }).output).toMatchObject({
        ...{ sourcePodName: "a", destinationPodName: "b" },
      });
    }
  });
});

test("of calls in turns each has its own two", () => {
  const { ask } = handler();
  const calls = ["a.jobs b.jobs", "a.jobs nightly.batch.jobs", "b.jobs nightly.batch.jobs"];
  for (const call of [...calls, ...calls]) {
    const [sourceUid = "", destinationUid = ""] = call.split(" ");
    const { sourcePodUid, destinationPodUid } = ask({ sourceUid, destinationUid }).output;
    expect([sourcePodUid, destinationPodUid]).toEqual([
      `kubernetes://${sourceUid}`,
      `kubernetes://${destinationUid}`,
    ]);
  }
});

test("of several at one address the port tells which is called, and nothing which calls", () => {
  const { ask } = handler();
  const here = ip("127.0.0.1");
  const called = { destinationIp: here, destinationPort: 2 };
  expect(ask(called).output.destinationPodName).toBe("b");
  expect(ask({ destinationIp: here }).output).toEqual({});
  expect(ask({ sourceIp: here }).output).toEqual({});
});

test("nobody known: no output, and no fault", () => {
  const { ask, workloads } = handler();
  const nobody = { output: {}, fault: "" };
  expect(ask({})).toEqual(nobody);
  expect(ask({ sourceUid: "", sourceIp: ip("0.0.0.0"), destinationIp: ip("::") })).toEqual(nobody);
  expect(ask({ sourceUid: "kubernetes://other.default" })).toEqual(nobody);
  // Who is named is meant, and not who is at the address.
  expect(ask({ sourceUid: "other.default", sourceIp: ip("10.0.0.1") })).toEqual(nobody);
  const noAddress = { sourceIp: Uint8Array.of(1, 2, 3), destinationIp: new Uint8Array(0) };
  expect(ask(noAddress)).toEqual(nobody);
  workloads.replace([{ ...job, addresses: ["0.0.0.0", "::"] }]);
  expect(ask({ sourceIp: ip("0.0.0.0"), destinationIp: ip("::") })).toEqual(nobody);
  workloads.replace([]);
  expect(ask({ sourceUid: "kubernetes://reviews-1x.default" })).toEqual(nobody);
});

test("without a directory nobody is known", () => {
  const handler = openLocal(workload, {});
  const asked = { template: "kubernetes", name: "a", sourceUid: "reviews-1x.default" } as const;
  expect(handler.generate!(asked)).toEqual({ output: {}, fault: "" });
});

test("what the original was told of its cluster is taken, with a word", () => {
  const said = problemsOf(workload, {
    ...{ kubeconfigPath: "/etc/kubeconfig", cacheRefreshDuration: "5m" },
    ...{ cluster_registries_namespace: "istio-system" },
  });
  const words = "has no effect: workloads come from the registries of the mesh";
  expect(said.map((line) => line.slice(line.indexOf(": ") + 2))).toEqual([words, words, words]);
  expect(openLocal(workload, { kubeconfigPath: "" })).toBeDefined();
});
