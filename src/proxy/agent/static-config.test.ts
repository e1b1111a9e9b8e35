/** `--upstream`, alone and under a manager's configuration. */
import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { Cluster_Discovery, ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { overlay, staticConfig } from "./static-config.ts";

const scope = { namespace: "default", domain: "cluster.local" };

test("a service is known by every name that a caller may use", () => {
  const config = staticConfig([{ service: "reviews", hostname: "127.0.0.1", port: 9081 }], scope);
  expect(config.virtualHosts[0]?.domains.sort()).toEqual([
    "reviews",
    "reviews.default",
    "reviews.default.svc",
    "reviews.default.svc.cluster.local",
    "reviews.default.svc.cluster.local:9081",
    "reviews.default.svc:9081",
    "reviews.default:9081",
    "reviews:9081",
  ]);
  expect(config.clusters[0]?.discovery).toBe(Cluster_Discovery.ENDPOINTS);
  expect(config.endpointSets[0]?.cluster).toBe(config.clusters[0]!.name);
});

test("two entries of one service are its endpoints; a name is resolved by the proxy", () => {
  const config = staticConfig(
    [
      { service: "a", hostname: "10.0.0.1", port: 1 },
      { service: "a", hostname: "host-2", port: 2 },
    ],
    scope,
  );
  expect(config.clusters.length).toBe(1);
  expect(config.clusters[0]?.discovery).toBe(Cluster_Discovery.DNS);
  expect(config.endpointSets[0]?.endpoints.map(({ port }) => port)).toEqual([1, 2]);
});

test("a service written with a port stands for that port only", () => {
  const config = staticConfig([{ service: "a.b:80", hostname: "10.0.0.1", port: 1 }], scope);
  expect(config.virtualHosts[0]?.domains).toContain("a.b:80");
  expect(config.virtualHosts[0]?.domains).not.toContain("a.b");
});

test("the command line wins over the manager, name by name", () => {
  const own = staticConfig([{ service: "a", hostname: "10.0.0.1", port: 80 }], scope);
  const sent = create(ProxyConfigSchema, {
    version: "v7",
    settings: { drainMs: 5 },
    virtualHosts: [
      { name: "a.default.svc.cluster.local", domains: ["a", "a:9080"] },
      { name: "b", domains: ["b"] },
      { name: "covered", domains: ["a.default"] },
    ],
    clusters: [{ name: "out" }],
  });
  const both = overlay(own, sent);
  expect(both.version).toBe("v7");
  expect(both.settings?.drainMs).toBe(5);
  expect(both.virtualHosts.map(({ name }) => name)).toEqual([
    "a.default.svc.cluster.local",
    "a.default.svc.cluster.local (manager)",
    "b",
  ]);
  expect(both.virtualHosts[1]?.domains).toEqual(["a:9080"]);
  expect(both.clusters.length).toBe(2);
  expect(overlay(own, undefined)).toBe(own);
});
