/** What a mixer is told of workloads: who they are, and nothing of what did not change. */
import { expect, test } from "bun:test";
import { applyUpdate } from "../../api/discovery/config-update.ts";
import { readDocuments } from "../../dialect/read.ts";
import type { Service, ServiceInstance } from "../../model/service.ts";
import { deltaUpdate, wholeUpdate } from "../discovery/delta.ts";
import { staticRegistryOf } from "../registry/static-registry.ts";
import { Catalog } from "./catalog.ts";
import { KnownWorkloads } from "./known-workload.ts";
import { ruleSetOf } from "./rule-set.ts";
import type { NodeView } from "./source.ts";
import { Translator } from "./translator.ts";

const DOMAIN = "cluster.local";
const mixer: NodeView = { service: "", namespace: "istio-system", labels: {}, mode: "mixer" };

const declared = staticRegistryOf(
  readDocuments(
    `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: db, namespace: shop }
spec:
  hosts: [db.shop.svc.cluster.local, reports.shop.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ name: api, number: 5432, protocol: HTTP }, { name: http, number: 80, protocol: HTTP }]
  workloadSelector: { labels: { app: db } }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: vm.one, namespace: shop }
spec: { address: 10.1.0.1, labels: { app: db, version: v2 }, serviceAccount: dba }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: outside, namespace: shop }
spec:
  hosts: [api.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{ name: http, number: 80, protocol: HTTP }]
`,
    { file: "rules.yaml", namespace: "default" },
  ).configs,
);

const copy = (id: string, address: string): ServiceInstance => ({
  ...{ host: "reviews.default.svc.cluster.local", address, port: 9080, servicePort: 80 },
  ...{ labels: { version: "v1" }, locality: "", weight: 1, healthy: true, workload: id },
});

const catalogOf = (...copies: readonly ServiceInstance[]) => {
  const reviews: Service = {
    ...{ host: "reviews.default.svc.cluster.local", namespace: "default", addresses: [] },
    ...{ ports: [{ name: "http", number: 80, protocol: "HTTP" }], resolution: "STATIC" },
    ...{ external: false, registry: "local" },
  };
  return new Catalog([...declared.services, reviews], [...declared.instances, ...copies]);
};

test("a workload is one, whatever ports and services it has", () => {
  const list = new KnownWorkloads().of(catalogOf(copy("reviews-1.default", "10.0.0.1")));
  expect(list.map(({ message: { $typeName: _, ...facts } }) => facts)).toEqual([
    {
      ...{ id: "vm.one.shop", namespace: "shop", serviceAccount: "dba" },
      ...{ labels: { app: "db", version: "v2" }, addresses: ["10.1.0.1"], ports: [80, 5432] },
      services: ["db.shop.svc.cluster.local", "reports.shop.svc.cluster.local"],
    },
    {
      ...{ id: "reviews-1.default", namespace: "default", serviceAccount: "" },
      ...{ labels: { version: "v1" }, addresses: ["10.0.0.1"], ports: [9080] },
      services: ["reviews.default.svc.cluster.local"],
    },
  ]);
});

test("a mixer is sent what came, changed and went; a proxy nothing of it", () => {
  const translator = new Translator(DOMAIN);
  const rules = ruleSetOf([], DOMAIN);
  const resources = (node: NodeView, ...copies: readonly ServiceInstance[]) => {
    translator.update({ rules, catalog: catalogOf(...copies) });
    return translator.resources(node);
  };
  const [a, b] = [copy("a.default", "10.0.0.1"), copy("b.default", "10.0.0.2")];
  const first = resources(mixer, a, b);
  const second = resources(mixer, a, { ...b, address: "10.0.0.3" });
  const third = resources(mixer, { ...b, address: "10.0.0.3", healthy: false });
  const changed = deltaUpdate(first, second);
  expect(changed.config!.workloads.map(({ id }) => id)).toEqual(["b.default"]);
  expect(changed.removedWorkloads).toEqual([]);
  const gone = deltaUpdate(second, third);
  expect([gone.config!.workloads, gone.removedWorkloads]).toEqual([[], ["a.default"]]);
  const held = applyUpdate(applyUpdate(wholeUpdate(first).config, changed), gone);
  expect(held!.workloads.map(({ id, addresses }) => [id, ...addresses])).toEqual([
    ["b.default", "10.0.0.3"],
    ["vm.one.shop", "10.1.0.1"],
  ]);
  const sidecar = { ...mixer, mode: "sidecar" } as const;
  expect(wholeUpdate(resources(sidecar, a, b)).config!.workloads).toEqual([]);
});
