/** Differences that the manager sends, applied to what the proxy holds. */
import { expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ConfigUpdateSchema } from "../gen/mesh/v1/discovery_pb.ts";
import { ProxyConfigSchema } from "../gen/mesh/v1/proxy_config_pb.ts";
import { applyUpdate } from "./config-update.ts";

const held = create(ProxyConfigSchema, {
  version: "v1",
  settings: { connectTimeoutMs: 7 },
  policy: { rules: [{ actions: [] }] },
  virtualHosts: [{ name: "a" }, { name: "b" }],
  clusters: [{ name: "c1" }, { name: "c2" }],
  endpointSets: [{ cluster: "c1" }, { cluster: "c2" }],
});
const update = (shape: MessageInitShape<typeof ConfigUpdateSchema>) =>
  create(ConfigUpdateSchema, shape);

test("a whole configuration replaces what is held", () => {
  const next = applyUpdate(held, update({ config: { version: "v9", clusters: [{ name: "x" }] } }));
  expect(next?.version).toBe("v9");
  expect(next?.virtualHosts).toEqual([]);
  expect(next?.settings).toBeUndefined();
});

test("a difference changes, adds and removes by name, and leaves the rest as it was", () => {
  const next = applyUpdate(
    held,
    update({
      baseVersion: "v1",
      config: {
        version: "v2",
        virtualHosts: [{ name: "a", domains: ["new"] }, { name: "z" }],
        endpointSets: [{ cluster: "c1", endpoints: [{ address: "10.0.0.1", port: 1 }] }],
      },
      removedVirtualHosts: ["b"],
      removedClusters: ["c2"],
      removedEndpointSets: ["c2"],
    }),
  );
  expect(next?.version).toBe("v2");
  expect(next?.virtualHosts.map(({ name, domains }) => [name, domains])).toEqual([
    ["a", ["new"]],
    ["z", []],
  ]);
  expect(next?.clusters).toEqual([held.clusters[0]!]);
  expect(next?.endpointSets[0]?.endpoints[0]?.address).toBe("10.0.0.1");
  expect(next?.settings?.connectTimeoutMs).toBe(7);
  expect(next?.policy).toBe(held.policy!);
  expect(held.virtualHosts.length).toBe(2);
});

test("policy is replaced as a whole, also by none", () => {
  const next = applyUpdate(held, update({ baseVersion: "v1", config: { policy: {} } }));
  expect(next?.policy?.rules).toEqual([]);
});

test("a difference to another version than the one held is not applied", () => {
  const other = update({ baseVersion: "v0", config: { version: "v2" } });
  expect(applyUpdate(held, other)).toBeUndefined();
  expect(applyUpdate(undefined, other)).toBeUndefined();
});

test("what is asked of callers, and whom to trust, stays until a difference has it whole", () => {
  const access = { authorizationPolicies: [{ provider: "a" }] };
  const trust = { trustDomain: "acme", rootPems: ["old"] };
  const before = create(ProxyConfigSchema, { version: "v1", access, trust });
  const same = applyUpdate(before, update({ baseVersion: "v1", config: { version: "v2" } }));
  expect(same?.access).toBe(before.access!);
  expect(same?.trust).toBe(before.trust!);
  const config = { version: "v2", access: {}, trust: { trustDomain: "acme", rootPems: ["new"] } };
  const next = applyUpdate(before, update({ baseVersion: "v1", config }));
  expect(next?.access?.authorizationPolicies).toEqual([]);
  expect(next?.trust?.rootPems).toEqual(["new"]);
});
