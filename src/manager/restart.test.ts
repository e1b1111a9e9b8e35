/** A manager that comes back must not make anybody believe that the mesh has vanished. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { ApplyMode, ConfigService } from "../api/gen/mesh/v1/config_pb.ts";
import { DiscoveryService, RegistryService } from "../api/gen/mesh/v1/discovery_pb.ts";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { Manager } from "./manager.ts";
import { SqliteWorkloadStore } from "./registry/workload-store.ts";
import { apiRoutes } from "./rpc/routes.ts";
import { SqliteStore } from "./store/sqlite-store.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(directory: string) {
  const manager = await Manager.open({
    clock: systemClock,
    log: new Log("manager", { level: "error" }),
    store: new SqliteStore(join(directory, "mesh.db"), systemClock),
    workloads: new SqliteWorkloadStore(join(directory, "workloads.db")),
    domain: "cluster.local",
    namespace: "default",
    leaseMs: 10_000,
  });
  const transport = createRouterTransport(apiRoutes(manager));
  return {
    manager,
    config: createClient(ConfigService, transport),
    discovery: createClient(DiscoveryService, transport),
    registry: createClient(RegistryService, transport),
  };
}

async function firstUpdate({ discovery }: Awaited<ReturnType<typeof open>>, version: string) {
  const gone = new AbortController();
  closing.push(() => gone.abort());
  const node = { id: "p.default", service: "web.default", namespace: "default" };
  for await (const update of discovery.watch({ node, version }, { signal: gone.signal }))
    return update;
  throw new Error("the stream ended");
}

test("rules, endpoints, leases and versions outlive the manager's process", async () => {
  const directory = mkdtempSync(join(tmpdir(), "mesh-restart-"));
  closing.push(() => rmSync(directory, { recursive: true }));
  const before = await open(directory);
  const workload = {
    id: "reviews-1.default",
    service: "reviews",
    namespace: "default",
    address: "127.0.0.1",
    port: 1,
    servicePort: 9080,
    labels: { version: "v1", app: "reviews" },
    healthy: true,
  };
  const lease = await before.registry.register({ workload });
  const text = `apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: { name: v1 }
spec:
  destination: { name: reviews }
  route: [{ labels: { version: v1 } }]
`;
  await before.config.apply({ documents: [{ file: "v1.yaml", text }], mode: ApplyMode.APPLY });
  const held = (await firstUpdate(before, "")).config;
  expect(held?.endpointSets.flatMap(({ endpoints }) => endpoints)).not.toEqual([]);
  await before.manager.close();

  const after = await open(directory);
  closing.push(() => after.manager.close());
  expect(await firstUpdate(after, held?.version ?? "")).toMatchObject({
    baseVersion: held?.version,
    config: { version: held?.version, virtualHosts: [], clusters: [], endpointSets: [] },
    removedEndpointSets: [],
  });
  expect((await after.registry.renew({ leaseId: lease.id, healthy: true })).id).toBe(lease.id);
  const history = { kind: "RouteRule", namespace: "default", name: "v1" };
  expect((await after.config.history(history)).entries).toHaveLength(1);
});
