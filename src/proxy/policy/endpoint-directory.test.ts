/** Who a proxy can name: itself, and workloads of the mesh that it may call. */
import { expect, test } from "bun:test";
import { serviceNameOf } from "../cluster/service-name.ts";
import { type Members, workloadsOf } from "./endpoint-directory.ts";
import type { PolicyNode } from "./workload.ts";

const node: PolicyNode = {
  ...{ id: "reviews-1.default", service: "reviews.default.svc.cluster.local" },
  ...{ namespace: "default", labels: { version: "v2" }, address: "10.0.0.1" },
  ...{ version: "1", mode: "sidecar" },
};
const cluster = (host: string, workload: string, address: string): Members => ({
  serviceName: serviceNameOf(host),
  endpoints: [
    {
      ...{ address, port: 9080 },
      facts: { labels: { a: "b" }, workload, locality: "", meshTransport: true, identity: "" },
    },
  ],
});

test("itself, and endpoints with the id of a workload in the mesh", () => {
  const clusters = [
    cluster("ratings.shop.svc.cluster.local", "ratings-1.shop", "10.0.0.2"),
    cluster("db.shop.svc.cluster.local", "vm", "10.0.0.3"),
    cluster("api.example", "api.example", "api.example"),
  ];
  expect([...workloadsOf(node, clusters)]).toEqual([
    {
      ...{ id: "reviews-1.default", namespace: "default", serviceAccount: "", ports: [] },
      ...{ labels: { version: "v2" }, addresses: ["10.0.0.1"] },
      services: ["reviews.default.svc.cluster.local"],
    },
    {
      ...{ id: "ratings-1.shop", namespace: "shop", serviceAccount: "", ports: [9080] },
      ...{ labels: { a: "b" }, addresses: ["10.0.0.2"] },
      services: ["ratings.shop.svc.cluster.local"],
    },
  ]);
});

test("what stands for no service is known all the same", () => {
  const [own] = workloadsOf({ ...node, service: "" }, []);
  expect(own).toMatchObject({ id: "reviews-1.default", services: [] });
});
