/** Who is there, as leases and files tell it. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Workload, WorkloadSchema } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { formatProblem, isError } from "../../core/problem.ts";
import { readDocuments } from "../../dialect/read.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { LocalRegistry } from "./local-registry.ts";
import { mergeRegistries, type Registry } from "./registry.ts";
import { staticRegistryOf } from "./static-registry.ts";
import { checkWorkload } from "./workload-check.ts";
import {
  forgetfulWorkloadStore,
  SqliteWorkloadStore,
  type WorkloadStore,
} from "./workload-store.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

const LEASE_MS = 10_000;
const HOST = "reviews.default.svc.cluster.local";

function open(clock: VirtualClock, store: WorkloadStore = forgetfulWorkloadStore) {
  let changes = 0;
  const registry = new LocalRegistry({
    clock,
    store,
    domain: "cluster.local",
    leaseMs: LEASE_MS,
    onChange: () => changes++,
  });
  const there = (): readonly string[] => registry.view().instances.map(({ workload }) => workload);
  return { registry, there, changes: () => changes };
}

function workload(id: string, rest: MessageInitShape<typeof WorkloadSchema> = {}): Workload {
  return create(WorkloadSchema, {
    id,
    service: "reviews",
    namespace: "default",
    address: "127.0.0.1",
    port: 15_006,
    servicePort: 9080,
    healthy: true,
    ...rest,
  });
}

describe("a workload", () => {
  test("is known for as long as its lease is renewed", () => {
    const clock = new VirtualClock();
    const { registry, there } = open(clock);
    const lease = registry.register(workload("a"))!;
    clock.advance(LEASE_MS - 1_000);
    expect(registry.renew(lease, true)).toBe(true);
    clock.advance(LEASE_MS - 1_000);
    expect(there()).toEqual(["a"]);
    clock.advance(2_000);
    expect(there()).toEqual([]);
    expect(registry.renew(lease, true)).toBe(false);
  });

  test("that takes the address of another, while that one's lease runs on, is who is there", () => {
    const { registry, there } = open(new VirtualClock());
    const former = registry.register(workload("b", { labels: { version: "v1" } }))!;
    registry.register(workload("a", { labels: { version: "v2" } }));
    registry.register(workload("c", { servicePort: 80 }));
    expect(there()).toEqual(["a", "c"]);
    expect(registry.renew(former, true)).toBe(true);
    expect(there()).toEqual(["a", "c"]);
    registry.withdraw(former);
    expect(there()).toEqual(["a", "c"]);
  });

  test("stands for its service under the full host name and the service's own port", () => {
    const { registry } = open(new VirtualClock());
    registry.register(workload("a", { protocol: "tcp" }));
    registry.register(workload("b", { service: "reviews.default", servicePort: 0, port: 99 }));
    const { services, instances } = registry.view();
    expect(services).toMatchObject([
      {
        host: HOST,
        namespace: "default",
        ports: [
          { number: 99, protocol: "HTTP" },
          { number: 9080, protocol: "TCP" },
        ],
      },
    ]);
    expect(instances).toMatchObject([
      { host: HOST, port: 15_006, servicePort: 9080 },
      { host: HOST, port: 99, servicePort: 99 },
    ]);
  });

  test("that withdrew leaves its service known for an hour", () => {
    const clock = new VirtualClock();
    const { registry, there } = open(clock);
    registry.withdraw(registry.register(workload("a"))!);
    expect(there()).toEqual([]);
    expect(registry.view().services.map(({ host }) => host)).toEqual([HOST]);
    clock.advance(61 * 60_000);
    expect(registry.view().services).toEqual([]);
  });

  test("is not lost because the manager stood still", () => {
    const clock = new VirtualClock();
    const { there } = open(clock);
    const { registry, there: stillThere } = open(clock);
    registry.register(workload("a"));
    clock.stall(60_000);
    clock.advance(600);
    expect(stillThere()).toEqual(["a"]);
    clock.advance(LEASE_MS);
    expect(stillThere()).toEqual([]);
    expect(there()).toEqual([]);
  });

  test("is known to a restarted manager, under the same lease and for a whole one", () => {
    const directory = mkdtempSync(join(tmpdir(), "mesh-registry-"));
    directories.push(directory);
    const path = join(directory, "workloads.db");
    const clock = new VirtualClock();
    const before = open(clock, new SqliteWorkloadStore(path));
    const lease = before.registry.register(workload("a", { labels: { version: "v1" } }))!;
    const gone = before.registry.register(workload("b"))!;
    before.registry.withdraw(gone);
    before.registry.close();
    const after = open(clock, new SqliteWorkloadStore(path));
    expect(after.registry.view().instances).toMatchObject([
      { workload: "a", labels: { version: "v1" }, healthy: true },
    ]);
    expect(after.registry.view().services.map(({ host }) => host)).toEqual([HOST]);
    clock.advance(LEASE_MS - 1_000);
    expect(after.registry.renew(lease, true)).toBe(true);
    after.registry.close();
    expect(clock.waiting).toBe(0);
  });

  test("ends with the join token by which it came, also at a manager that was away", () => {
    const directory = mkdtempSync(join(tmpdir(), "mesh-registry-"));
    directories.push(directory);
    const path = join(directory, "workloads.db");
    const clock = new VirtualClock();
    const before = open(clock, new SqliteWorkloadStore(path));
    const lease = before.registry.register(workload("a"), "3f9a61c2b7d0")!;
    before.registry.register(workload("b", { port: 15_007 }), "c2b7d03f9a61");
    before.registry.register(workload("c", { port: 15_008 }));
    before.registry.close();
    const { registry, there, changes } = open(clock, new SqliteWorkloadStore(path));
    registry.withdrawOf(() => false);
    expect([there(), changes()]).toEqual([["a", "b", "c"], 0]);
    registry.withdrawOf((origin) => origin === "3f9a61c2b7d0");
    expect([there(), changes()]).toEqual([["b", "c"], 1]);
    expect(registry.renew(lease, true)).toBe(false);
    registry.close();
  });

  test("tells of a change of health, and only of a change", () => {
    const { registry, changes } = open(new VirtualClock());
    const lease = registry.register(workload("a"))!;
    const before = changes();
    registry.renew(lease, true);
    expect(changes()).toBe(before);
    registry.renew(lease, false);
    expect(changes()).toBe(before + 1);
    expect(registry.view().instances).toMatchObject([{ healthy: false }]);
  });

  const refused: readonly (readonly [field: string, MessageInitShape<typeof WorkloadSchema>])[] = [
    ["service", { service: "a b" }],
    ["address", { address: "127.0.0.1:80" }],
    ["port", { port: 0 }],
    ["service_port", { servicePort: 65_536 }],
    ["protocol", { protocol: "smoke-signals" }],
    ["labels", { labels: { "a\n": "b" } }],
    ["namespace", { namespace: "../x" }],
  ];
  test.each(refused)("with a bad %s is refused", (field, rest) => {
    expect(checkWorkload(workload("a"))).toEqual([]);
    const problems = checkWorkload(workload("a", rest));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toStartWith(`${field}: `);
  });
});

function fromYaml(yaml: string): Registry {
  const { configs, problems } = readDocuments(yaml, {
    file: "registry.yaml",
    namespace: "default",
    domain: "cluster.local",
  });
  expect(problems.filter(isError).map(formatProblem)).toEqual([]);
  return staticRegistryOf(configs);
}

function serviceEntry(...lines: string[]): string {
  return [
    "apiVersion: networking.istio.io/v1",
    "kind: ServiceEntry",
    "metadata: { name: entry }",
    "spec:",
    ...lines.map((line) => `  ${line}`),
    "",
  ].join("\n");
}

describe("a service entry", () => {
  test("lists its endpoints, each with its own port", () => {
    const { services, instances, origins } = fromYaml(
      serviceEntry(
        "hosts: [db.internal]",
        "location: MESH_INTERNAL",
        "resolution: STATIC",
        "ports:",
        "- { number: 80, name: http, protocol: HTTP, targetPort: 8080 }",
        "endpoints:",
        "- { address: 10.0.0.1, labels: { version: v1 } }",
        "- { address: 10.0.0.2, ports: { http: 9000 }, weight: 3 }",
      ),
    );
    expect(services).toMatchObject([
      { host: "db.internal", resolution: "STATIC", external: false, registry: "file" },
    ]);
    expect(instances).toMatchObject([
      { address: "10.0.0.1", port: 8080, servicePort: 80, labels: { version: "v1" }, weight: 1 },
      { address: "10.0.0.2", port: 9000, servicePort: 80, weight: 3 },
    ]);
    expect(origins.get("db.internal")).toMatchObject({ file: "registry.yaml", line: 1 });
  });

  test("without endpoints is resolved by its own name", () => {
    const { instances } = fromYaml(
      serviceEntry(
        "hosts: [api.example.com]",
        "resolution: DNS",
        "ports: [{ number: 443, name: tls, protocol: TLS }]",
      ),
    );
    expect(instances).toMatchObject([{ address: "api.example.com", port: 443 }]);
  });

  test("selects workload entries of its namespace by their labels", () => {
    let last = 0;
    const entry = (name: string, namespace: string, app: string): string =>
      [
        "---",
        "apiVersion: networking.istio.io/v1",
        "kind: WorkloadEntry",
        `metadata: { name: ${name}, namespace: ${namespace} }`,
        `spec: { address: 10.0.0.${++last}, labels: { app: ${app} } }`,
        "",
      ].join("\n");
    const { instances } = fromYaml(
      [
        serviceEntry(
          "hosts: [db.internal]",
          "location: MESH_INTERNAL",
          "resolution: STATIC",
          "ports: [{ number: 80, name: http, protocol: HTTP }]",
          "workloadSelector: { labels: { app: db } }",
        ),
        entry("yes", "default", "db"),
        entry("other-app", "default", "web"),
        entry("other-namespace", "prod", "db"),
      ].join(""),
    );
    expect(instances.map(({ workload: name }) => name)).toEqual(["yes"]);
  });
});

test("two registries that know one host are one service, the first says what it is", () => {
  const { registry } = open(new VirtualClock());
  registry.register(workload("a"));
  registry.register(workload("b", { servicePort: 80, port: 1 }));
  const written = fromYaml(
    serviceEntry(
      `hosts: [${HOST}]`,
      "addresses: [10.1.1.1]",
      "location: MESH_INTERNAL",
      "resolution: STATIC",
      "ports: [{ number: 80, name: http, protocol: HTTP }]",
      "endpoints: [{ address: 10.0.0.1 }]",
    ),
  );
  const { services, instances } = mergeRegistries([written, registry.view()]);
  expect(services).toMatchObject([
    {
      host: HOST,
      registry: "file",
      addresses: ["10.1.1.1"],
      ports: [{ number: 80 }, { number: 9080 }],
    },
  ]);
  expect(instances).toHaveLength(3);
});

test("one address that stands for two versions is an endpoint of each", () => {
  const entry = (name: string, ...versions: string[]): string =>
    serviceEntry(
      `hosts: [${HOST}]`,
      "location: MESH_INTERNAL",
      "resolution: STATIC",
      "ports: [{ number: 80, name: http, protocol: HTTP }]",
      "endpoints:",
      ...versions.map((version) => `- { address: 10.0.0.1, labels: { version: ${version} } }`),
    ).replace("name: entry", `name: ${name}`);
  const { registry } = open(new VirtualClock());
  registry.register(workload("a", { address: "10.0.0.1", port: 80, servicePort: 80 }));
  const written = fromYaml([entry("a", "v1", "v2"), entry("b", "v2", "v3")].join("---\n"));
  const { services, instances, origins } = mergeRegistries([written, registry.view()]);
  expect(services).toHaveLength(1);
  expect(instances.map(({ labels }) => labels.version)).toEqual(["v1", "v2", "v3"]);
  expect(origins.get(HOST)).toMatchObject({ line: 1 });
});

test("one address that two registries tell of is that of the first", () => {
  const { registry } = open(new VirtualClock());
  registry.register(workload("a", { address: "10.0.0.1", port: 80, servicePort: 80 }));
  const written = fromYaml(
    serviceEntry(
      `hosts: [${HOST}]`,
      "location: MESH_INTERNAL",
      "resolution: STATIC",
      "ports: [{ number: 80, name: http, protocol: HTTP }]",
      "endpoints: [{ address: 10.0.0.1, labels: { from: file } }]",
    ),
  );
  const { instances } = mergeRegistries([written, registry.view()]);
  expect(instances).toMatchObject([{ labels: { from: "file" } }]);
});
