/** `mesh proxy` as a process of its own, as operators and platforms see it. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConfigUpdateSchema } from "../api/gen/mesh/v1/discovery_pb.ts";
import { FakeManager } from "../testing/fake-manager.ts";

const MAIN = join(import.meta.dir, "..", "main.ts");
const LIMIT_MS = 15_000;

let directory: string;
let manager: FakeManager;
let app: ReturnType<typeof Bun.serve>;
const running: Bun.Subprocess[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "mesh-proxy-"));
  app = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => new Response(`app ${new URL(request.url).pathname}`),
  });
  manager = await new FakeManager().start();
  manager.first = configFor("v1");
});
afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
  await manager.kill();
  await app.stop(true);
  rmSync(directory, { recursive: true, force: true });
});

/** "web" is the application itself. */
function configFor(version: string): MessageInitShape<typeof ConfigUpdateSchema> {
  const cluster = "web";
  return {
    config: {
      version,
      virtualHosts: [
        {
          name: "web",
          domains: ["web", "web:80"],
          routes: [
            {
              name: version,
              action: { case: "forward", value: { clusters: [{ cluster, weight: 1 }] } },
            },
          ],
        },
      ],
      clusters: [{ name: cluster, service: "web", port: 80, discovery: 1, protocol: 1 }],
      endpointSets: [{ cluster, endpoints: [{ address: "127.0.0.1", port: app.port ?? 0 }] }],
    },
  };
}

interface Started {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly output: () => string;
  /** Of the line that says it is ready: "outbound" ─▶ "127.0.0.1:4711". */
  ready(): Promise<Readonly<Record<string, string>>>;
}

function start(flags: readonly string[], environment: Record<string, string> = {}): Started {
  const child = Bun.spawn(
    [
      ...[process.execPath, MAIN, "proxy", "--state-dir", directory],
      ...(flags.includes("--drain-seconds") ? [] : ["--drain-seconds", "0.2"]),
      ...["outbound", "inbound", "admin", "readiness"].flatMap((name) =>
        flags.includes(`--${name}`) ? [] : [`--${name}`, "127.0.0.1:0"],
      ),
      ...flags,
    ],
    { env: { ...process.env, ...environment }, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  running.push(child);
  let text = "";
  const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  };
  void read(child.stdout);
  void read(child.stderr);
  const ready = async (): Promise<Record<string, string>> => {
    await until(
      () => / ready /.test(text),
      () => text,
    );
    const line = /ready (.*)/.exec(text)?.[1] ?? "";
    return Object.fromEntries(line.split(" ").map((pair) => pair.split("=") as [string, string]));
  };
  return { child, output: () => text, ready };
}

async function until(
  condition: () => boolean | Promise<boolean>,
  what: () => string = () => String(condition),
): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what()}`);
    await Bun.sleep(5);
  }
}

/** The first configuration has been stored. */
function onDisk(): boolean {
  return readdirSync(directory).some((name) => name.endsWith(".config"));
}

async function get(address: string | undefined, path: string, host = "web"): Promise<string> {
  const response = await fetch(`http://${address}${path}`, { headers: { host } });
  return `${response.status} ${await response.text()}`;
}

test("follows its manager, serves its service, and leaves before it stops", async () => {
  const proxy = start([
    ...["--manager", manager.url, "--service", "web", "--labels", "version=v1"],
    ...["--app-port", String(app.port), "--service-port", "80"],
  ]);
  const at = await proxy.ready();
  await until(() => manager.workloads.size === 1);
  const [workload] = manager.workloads.values();
  expect(workload).toMatchObject({
    service: "web.default.svc.cluster.local",
    address: "127.0.0.1",
    servicePort: 80,
    labels: { version: "v1" },
    healthy: true,
  });
  expect(`127.0.0.1:${workload?.port}`).toBe(at.inbound!);
  expect(workload?.node?.adminAddress).toBe(at.admin!);
  expect(await get(at.outbound, "/out")).toBe("200 app /out");
  expect(await get(at.inbound, "/in", "anything")).toBe("200 app /in");
  expect(await get(at.readiness, "/healthz/ready")).toBe("200 LIVE\n");
  manager.send(configFor("v2"));
  await until(async () => (await get(at.admin, "/routes", "localhost")).includes("1. v2"));
  const stats = await get(at.admin, "/stats/prometheus", "localhost");
  for (const line of [
    "mesh_proxy_ready 1",
    "mesh_proxy_manager_connected 1",
    "mesh_proxy_config_updates_total 2",
    "mesh_proxy_registered 1",
    "mesh_proxy_application_healthy 1",
  ]) {
    expect(stats).toContain(line);
  }
  expect(stats).toMatch(/^process_cpu_seconds_total [\d.e-]+$/m);
  expect(stats.match(/^process_resident_memory_bytes /gm)).toHaveLength(1);
  proxy.child.kill("SIGTERM");
  expect(await proxy.child.exited).toBe(0);
  expect(manager.registry.at(-1)).toBe(`withdraw ${workload?.id}`);
});

test("a configuration that cannot be compiled is refused; the last good one stays", async () => {
  const proxy = start(["--manager", manager.url]);
  const at = await proxy.ready();
  const bad = configFor("v2");
  manager.send({ config: { ...bad.config, clusters: [] } });
  await until(() => manager.acknowledged.some(({ version }) => version === "v2"));
  const rejection = manager.acknowledged.find(({ version }) => version === "v2");
  expect(rejection?.activeVersion).toBe("v1");
  expect(rejection?.problems.join("\n")).toContain('"web"');
  expect(await get(at.outbound, "/still")).toBe("200 app /still");
});

test("without its manager it serves from disk, and says so; then it follows again", async () => {
  const flags = ["--manager", manager.url, "--outbound", "127.0.0.1:0", "--service", "caller"];
  const first = start(flags);
  await first.ready();
  await until(onDisk);
  await manager.kill();
  first.child.kill("SIGKILL");
  await first.child.exited;
  const second = start(flags);
  const at = await second.ready();
  expect(await get(at.outbound, "/disk")).toBe("200 app /disk");
  expect(await get(at.admin, "/stats/prometheus", "localhost")).toContain(
    "mesh_proxy_config_from_disk 1",
  );
  expect(second.output()).toContain("serving the last configuration from disk");
  manager.first = { ...configFor("v3") };
  await manager.start();
  await until(() => manager.acknowledged.some(({ version }) => version === "v3"));
  expect(manager.watched.at(-1)?.version).toBe("v1");
});

test("a proxy that never had a configuration is not ready, and its application waits", async () => {
  await manager.kill();
  const proxy = start(["--manager", manager.url, "--", "sh", "-c", "echo started; exit 4"]);
  await until(() => proxy.output().includes("manager is away"));
  expect(proxy.output()).not.toContain("started");
  await manager.start();
  expect(await proxy.child.exited).toBe(4);
  expect(proxy.output()).toContain("started");
});

test("static upstreams need no manager", async () => {
  const upstream = `api.shop:8000=127.0.0.1:${app.port}`;
  const proxy = start(["--manager", "none", "--upstream", upstream]);
  const at = await proxy.ready();
  expect(await get(at.outbound, "/x", "api.shop.svc.cluster.local:8000")).toBe("200 app /x");
});

test("an application calls by name through its proxy, which takes its exit code", async () => {
  const script = join(directory, "app.ts");
  writeFileSync(
    script,
    `const answer = await (await fetch("http://web/hello")).text();
     console.log("answer:", answer);
     process.exit(answer === "app /hello" ? 42 : 1);`,
  );
  const proxy = start(["--manager", manager.url, "--", process.execPath, script]);
  expect(await proxy.child.exited).toBe(42);
  expect(proxy.output()).toContain("answer: app /hello");
});

test("SIGTERM: the application may call out while it ends, and gives the exit code", async () => {
  const script = join(directory, "app.ts");
  writeFileSync(
    script,
    `process.on("SIGTERM", async () => {
       console.log("last:", await (await fetch("http://web/last")).text());
       process.exit(5);
     });
     console.log("app is up");
     setInterval(() => {}, 1000);`,
  );
  const proxy = start(["--manager", manager.url, "--", process.execPath, script]);
  await until(() => proxy.output().includes("app is up"));
  proxy.child.kill("SIGTERM");
  expect(await proxy.child.exited).toBe(5);
  expect(proxy.output()).toContain("last: app /last");
});

test("other signals are the application's", async () => {
  const proxy = start([
    ...["--manager", "none", "--"],
    ...["sh", "-c", "trap 'exit 6' USR1; echo app is up; while :; do sleep 0.01; done"],
  ]);
  await until(() => proxy.output().includes("app is up"));
  proxy.child.kill("SIGUSR1");
  expect(await proxy.child.exited).toBe(6);
});

test("a taken port is one line that names the flag", async () => {
  const proxy = start(["--manager", "none", "--outbound", `127.0.0.1:${app.port}`]);
  expect(await proxy.child.exited).toBe(1);
  expect(proxy.output()).toBe(
    `mesh proxy: 127.0.0.1:${app.port} is taken: ` +
      "choose another with --outbound (port 0 picks one)\n",
  );
});

test("a wrong command line is 2, with every mistake", async () => {
  const proxy = start(["--servise", "web", "--mode", "edge"]);
  expect(await proxy.child.exited).toBe(2);
  expect(proxy.output()).toContain("--servise: unknown flag (did you mean --service?)");
  expect(proxy.output()).toContain('--mode: "edge"');
});

test("POST /quitquitquit ends it as SIGTERM does; another web page cannot", async () => {
  const proxy = start(["--manager", "none"]);
  const at = await proxy.ready();
  const url = `http://${at.admin}/quitquitquit`;
  const headers = { origin: "http://evil.example" };
  expect((await fetch(url, { method: "POST", headers })).status).toBe(403);
  expect((await fetch(url, { method: "POST" })).status).toBe(202);
  expect(await proxy.child.exited).toBe(0);
});

test("a successor takes the ports over, and the workload stays registered", async () => {
  const inbound = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const flags = [
    ...["--manager", manager.url, "--service", "web", "--app-port", String(app.port)],
    ...["--inbound", `127.0.0.1:${inbound.port}`],
  ];
  inbound.stop(true);
  const first = start(flags);
  const at = await first.ready();
  await until(() => manager.workloads.size === 1);
  const second = start([...flags, "--restart"]);
  const then = await second.ready();
  expect(then.inbound).toBe(at.inbound!);
  expect(then.outbound).toBe(at.outbound!);
  expect(await first.child.exited).toBe(0);
  expect(await get(then.inbound, "/again")).toBe("200 app /again");
  await until(() => manager.registry.filter((line) => line.startsWith("register")).length === 2);
  expect(manager.registry.some((line) => line.startsWith("withdraw"))).toBe(false);
  expect(new Set([...manager.workloads.values()].map(({ id }) => id)).size).toBe(1);
});

test("a successor without a configuration leaves the connections to its predecessor", async () => {
  const flags = ["--manager", manager.url, "--service", "web", "--outbound", "127.0.0.1:0"];
  const first = start(flags);
  const at = await first.ready();
  await until(onDisk);
  await manager.kill();
  for (const name of readdirSync(directory)) {
    if (name.endsWith(".config")) rmSync(join(directory, name));
  }
  const second = start([...flags, "--restart"]);
  await until(() => second.output().includes("manager is away"));
  for (let i = 0; i < 20; i++) expect(await get(at.outbound, "/i")).toBe("200 app /i");
  second.child.kill("SIGTERM");
  expect(await second.child.exited).toBe(0);
  expect(await get(at.outbound, "/still")).toBe("200 app /still");
  const third = start([...flags, "--restart"]);
  await manager.start();
  expect((await third.ready()).outbound).toBe(at.outbound!);
  expect(await first.child.exited).toBe(0);
  expect(await get(at.outbound, "/third")).toBe("200 app /third");
});

test("/tap shows requests as they end, with or without an access log", async () => {
  for (const log of ["none", join(directory, "access.log")]) {
    const upstream = `api=127.0.0.1:${app.port}`;
    const proxy = start(["--manager", "none", "--upstream", upstream, "--access-log", log]);
    const at = await proxy.ready();
    const tap = await fetch(`http://${at.admin}/tap?max=1&filter=tapped`);
    await get(at.outbound, "/other", "api");
    await get(at.outbound, "/tapped", "api");
    const event = /^data: (.*)$/m.exec(await tap.text())?.[1] ?? "{}";
    expect(JSON.parse(event)).toMatchObject({ path: "/tapped", response_code: 200 });
    proxy.child.kill("SIGTERM");
    expect(await proxy.child.exited).toBe(0);
  }
  const lines = readFileSync(join(directory, "access.log"), "utf8").trim().split("\n");
  expect(lines.map((line) => /"GET (\S+)/.exec(line)?.[1])).toEqual(["/other", "/tapped"]);
});

test("SIGHUP opens the access log again, after a rotation by rename", async () => {
  const log = join(directory, "access.log");
  const upstream = `api=127.0.0.1:${app.port}`;
  const proxy = start(["--manager", "none", "--upstream", upstream, "--access-log", log]);
  const at = await proxy.ready();
  renameSync(log, `${log}.1`);
  proxy.child.kill("SIGHUP");
  await until(() => existsSync(log));
  await get(at.outbound, "/after", "api");
  proxy.child.kill("SIGTERM");
  await proxy.child.exited;
  expect(readFileSync(log, "utf8")).toContain("/after");
});

test("a second SIGTERM waits for nobody", async () => {
  const script = "trap '' TERM; echo app is up; while :; do sleep 0.01; done";
  const proxy = start([
    ...["--manager", "none", "--drain-seconds", "600", "--", "sh", "-c", script],
  ]);
  await until(() => proxy.output().includes("app is up"));
  proxy.child.kill("SIGTERM");
  await until(() => proxy.output().includes("stopping"));
  proxy.child.kill("SIGTERM");
  expect(await proxy.child.exited).toBe(137);
});

test("a command that is not there is 127, and says so", async () => {
  const proxy = start(["--manager", "none", "--", "no-such-command"]);
  expect(await proxy.child.exited).toBe(127);
  expect(proxy.output()).toContain("no-such-command: no such command");
});

const registry = (port: number, path: string): string => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.default.svc.cluster.local]
  ports: [{number: 80, name: http, protocol: HTTP}]
  location: MESH_INTERNAL
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: ${port}}}]
---
apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: {name: web}
spec:
  destination: {name: web}
  rewrite: {uri: ${path}}
`;

test("standalone: rules from files, followed when they change", async () => {
  const file = join(directory, "rules.yaml");
  writeFileSync(file, registry(app.port ?? 0, "/first"));
  const proxy = start(["--standalone", "-f", file]);
  const at = await proxy.ready();
  expect(await get(at.outbound, "/")).toBe("200 app /first");
  expect(await get(at.admin, "/routes", "localhost")).toContain(`${file}:`);
  writeFileSync(file, registry(app.port ?? 0, "/second"));
  await until(async () => (await get(at.outbound, "/")) === "200 app /second");
  // There is nobody to ask for an identity.
  expect(proxy.output()).not.toContain("identity");
});

test("standalone: a wrong rule at the start is its place and reason, and code 1", async () => {
  const file = join(directory, "rules.yaml");
  writeFileSync(file, registry(app.port ?? 0, "/").replace("rewrite", "rewrites"));
  const proxy = start(["--standalone", "-f", file]);
  expect(await proxy.child.exited).toBe(1);
  expect(proxy.output()).toMatch(/rules\.yaml:16:3: .*rewrites.*did you mean rewrite/);
});
