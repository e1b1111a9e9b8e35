/** A manager without sockets, as `mesh proxy --standalone` has it. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { DiscoveryService } from "../api/gen/mesh/v1/discovery_pb.ts";
import { embeddedManager } from "./embedded.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function rules(): string {
  const directory = mkdtempSync(join(tmpdir(), "mesh-embedded-"));
  closing.push(() => rmSync(directory, { recursive: true }));
  return directory;
}

function serviceEntry(port: number): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: web }
spec:
  hosts: [web.internal]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${port} } }]
`;
}

test("configures from files, and again when they change", async () => {
  const directory = rules();
  const file = join(directory, "web.yaml");
  writeFileSync(file, serviceEntry(1));
  const manager = await embeddedManager({
    files: [directory],
    namespace: "default",
    domain: "cluster.local",
  });
  closing.push(() => manager.close());
  const client = createClient(DiscoveryService, manager.transport);
  const ended = new AbortController();
  closing.push(() => ended.abort());
  const node = { id: "p.default", namespace: "default" };
  const ports: number[] = [];
  for await (const { config } of client.watch({ node }, { signal: ended.signal })) {
    await client.acknowledge({ nodeId: node.id, version: config?.version ?? "" });
    ports.push(
      ...(config?.endpointSets.flatMap(({ endpoints }) => endpoints) ?? []).map((e) => e.port),
    );
    if (ports.length === 1) writeFileSync(file, serviceEntry(2));
    if (ports.at(-1) === 2) break;
  }
  expect(ports).toEqual([1, 2]);
});

test("refuses files that it cannot use, with every reason", async () => {
  const directory = rules();
  writeFileSync(join(directory, "a.yaml"), serviceEntry(1).replace("hosts", "hotsts"));
  const files = [directory, join(directory, "missing")];
  const opening = embeddedManager({ files, namespace: "default", domain: "cluster.local" });
  const reasons = await opening.then(() => "", String);
  expect(reasons).toMatch(/a\.yaml:5:3: .*hotsts/);
  expect(reasons).toContain("missing: ");
});
