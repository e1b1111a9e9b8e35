/** `mesh ctl explain rule` against a manager on a socket and proxies that are processes. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { DiscoveryService } from "../api/gen/mesh/v1/discovery_pb.ts";
import { type ApiServer, serveApi } from "../api/serve.ts";
import { systemClock } from "../core/clock.ts";
import { Log } from "../core/log.ts";
import { Manager } from "../manager/manager.ts";
import { forgetfulWorkloadStore } from "../manager/registry/workload-store.ts";
import { apiRoutes } from "../manager/rpc/routes.ts";
import { MemoryStore } from "../manager/store/memory-store.ts";
import { runCtl } from "./run.ts";

const rules = `# What explain is asked about.
apiVersion: config.istio.io/v1alpha2
kind: handler
metadata: { name: deny }
spec: { compiledAdapter: denier, params: { status: { code: 7, message: not you } } }
---
apiVersion: config.istio.io/v1alpha2
kind: checknothing
metadata: { name: nothing }
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: no-jason }
spec:
  match: request.headers["end-user"] == "jason" && (source.namespace | "") != "x"
  rateLimit: 1000/s by source.user | "nobody" at redis://127.0.0.1:1
  actions: [{ handler: deny, instances: [nothing.checknothing] }]
  requestHeaderOperations: [{ name: x-path, values: [request.path], operation: REPLACE }]
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: no-jason, namespace: elsewhere }
spec:
  failPolicy: open
  actions: [{ handler: deny.default, instances: [nothing.checknothing.default] }]
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: all, namespace: istio-system }
spec:
  actions:
  - { handler: { compiledAdapter: noop }, instances: [{ compiledTemplate: checknothing }] }
`;

const directory = mkdtempSync(join(tmpdir(), "mesh-explain-"));
const path = join(directory, "policy.yaml");
const gone = new AbortController();
const proxies: Bun.Subprocess<"ignore", "ignore", "pipe">[] = [];
const inbound = new Map<string, string>();
let manager: Manager;
let server: ApiServer;
let app: ReturnType<typeof Bun.serve>;

beforeAll(async () => {
  const log = new Log("test", { level: "error" });
  manager = await Manager.open({
    ...{ clock: systemClock, log, store: new MemoryStore(systemClock) },
    ...{ workloads: forgetfulWorkloadStore, domain: "cluster.local", namespace: "default" },
    leaseMs: 10_000,
  });
  server = await serveApi({
    ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, routes: apiRoutes(manager) },
    fetch: () => new Response(null, { status: 404 }),
  });
  app = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("app") });
  writeFileSync(path, rules);
  expect(await ctl("apply", "-f", path)).toMatchObject({ code: 0, err: "" });
  await Promise.all(["ratings-1", "ratings-2", "web-1.other"].map(startProxy));
  await until(() => manager.registry.instances.filter((one) => one.healthy).length === 3);
}, 60_000);

afterAll(async () => {
  gone.abort();
  for (const proxy of proxies) {
    proxy.kill("SIGKILL");
    await proxy.exited;
  }
  await app.stop(true);
  await server.close();
  await manager.close();
  rmSync(directory, { recursive: true });
});

/** `id`, with the namespace behind it. */
async function startProxy(id: string): Promise<void> {
  const [name = "", namespace = "default"] = id.split(".");
  const child = Bun.spawn(
    [
      ...[process.execPath, join(import.meta.dir, "..", "main.ts"), "proxy", "--id", name],
      ...["--manager", url(), "--service", `${name.split("-")[0]}.${namespace}`],
      ...["--app-port", String(app.port), "--service-port", "80"],
      ...["--state-dir", join(directory, id), "--drain-seconds", "0.2"],
      ...["outbound", "inbound", "admin", "readiness"].flatMap((one) => [
        `--${one}`,
        "127.0.0.1:0",
      ]),
    ],
    { stdin: "ignore", stdout: "ignore", stderr: "pipe" },
  );
  proxies.push(child);
  let text = "";
  // Whoever stops reading ends a proxy that goes on writing.
  const read = async (): Promise<void> => {
    for await (const chunk of child.stderr) text += new TextDecoder().decode(chunk);
  };
  void read();
  const inboundIn = (): string | undefined => / ready .*inbound=(\S+)/.exec(text)?.[1];
  await until(() => inboundIn() !== undefined);
  inbound.set(name, inboundIn()!);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${condition}`);
    await Bun.sleep(5);
  }
}

function url(): string {
  return `http://127.0.0.1:${server.port}`;
}

async function ctl(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await runCtl(argv, {
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
    readStdin: async () => "",
    ...{ stdinIsTty: true, isTty: false, columns: 100, clock: systemClock },
    env: { MESH_MANAGER: url() },
  });
  return { code, out: out.replaceAll(`${directory}/`, ""), err };
}

/** Asks a proxy's inbound side as its service would be asked; returns the status. */
async function ask(proxy: string, user: string): Promise<number> {
  const headers = { host: "ratings", "end-user": user };
  const answer = await fetch(`http://${inbound.get(proxy)}/ratings/0`, { headers });
  await answer.arrayBuffer();
  return answer.status;
}

test("where it is written, whom it asks, what it reads", async () => {
  const { code, out, err } = await ctl("explain", "rule", "no-jason");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toStartWith(`no-jason.rule.default
  written  policy.yaml:11
  state    in force
  match    request.headers["end-user"] == "jason" && (source.namespace | "") != "x"
  for      requests of its own namespace
  else     closed: refuses unjudged
  header   request x-path (replace)
`);
  expect(out).toMatch(
    /^check +deny\.handler\.default \(denier, policy\.yaml:2\) .*, policy\.yaml:7\) +proxy$/m,
  );
  expect(out).toMatch(/^quota +no-jason\[1\]\.handler\.default \(redisquota\) .* mixer$/m);
  expect(out).toMatch(/^request\.headers +match$/m);
  expect(out).toMatch(/^request\.path +header x-path$/m);
  expect(out).toMatch(/^source\.user +no-jason\[1\]\[0\]\.instance\.default$/m);
});

test("what it did, at each proxy and together", async () => {
  await until(async () => (await ask("ratings-1", "jason")) === 403);
  await until(async () => (await ask("ratings-2", "jason")) === 403);
  await ask("ratings-2", "jason");
  const { out } = await ctl("explain", "rule", "no-jason", "-o", "json");
  const told = JSON.parse(out);
  const by = new Map<string, { at: string; count: { matched: number; denied: number } }>(
    told.proxies.map((one: { proxy: string }) => [one.proxy, one]),
  );
  const [first, second] = [by.get("ratings-1")!.count, by.get("ratings-2")!.count];
  expect(first.denied).toBeGreaterThanOrEqual(1);
  expect(second.denied).toBeGreaterThanOrEqual(2);
  expect(told.sum.denied).toBe(first.denied + second.denied);
  expect(told.sum.matched).toBe(first.matched + second.matched);
  expect(by.get("web-1")).toEqual(expect.objectContaining({ at: "without" }));
  const text = (await ctl("explain", "ru", "no-jason.rule.default")).out;
  expect(text).toMatch(new RegExp(`^together +${told.sum.matched} +${told.sum.denied} `, "m"));
  expect(text).toContain("without it: web-1\n");
});

test("proxies that do not answer are named", async () => {
  const discovery = createClient(
    DiscoveryService,
    createConnectTransport({ baseUrl: url(), httpVersion: "1.1" }),
  );
  const node = { id: "lost-1", namespace: "default", adminAddress: "127.0.0.1:1" };
  const stream = discovery.watch({ node, version: "" }, { signal: gone.signal });
  void (async () => {
    for await (const _ of stream);
  })().catch(() => {});
  await until(() => manager.discovery.streams.some(({ node: { id } }) => id === "lost-1"));
  const { out } = await ctl("explain", "rule", "no-jason");
  expect(out).toContain("not counted: lost-1: no answer at 127.0.0.1:1\n");
  gone.abort();
});

test("namespaces: default, then the one of all, or the one that is named", async () => {
  const open = await ctl("explain", "rule", "no-jason", "-n", "elsewhere");
  expect(open.out).toContain("always");
  expect(open.out).toContain("open: passes unjudged");
  expect((await ctl("explain", "rule/elsewhere/no-jason")).out).toBe(open.out);
  expect((await ctl("explain", "rule", "all")).out).toContain("requests of every namespace");
  const wrong = await ctl("explain", "rule", "no-jason", "-n", "else");
  expect(wrong).toMatchObject({ code: 1, out: "" });
  expect(wrong.err).toContain("-n is one of default, elsewhere");
  expect((await ctl("explain", "rule", "no-jasn")).err).toContain("did you mean no-jason?");
});

test.each([
  [["explain"], "explain what?"],
  [["explain", "rule"], "name one rule"],
  [["explain", "rule", "a", "b"], "name one rule"],
  [["explain", "handler", "deny"], "only rules and denials are explained"],
])("%j is a usage mistake", async (argv, says) => {
  const { code, err } = await ctl(...argv);
  expect(code).toBe(2);
  expect(err).toContain(says);
});

test("shells learn its words", async () => {
  expect((await ctl("complete", "--", "explain", "")).out).toBe("rule\ndenial\n");
  expect((await ctl("complete", "--", "explain", "rule", "no")).out).toContain("no-jason\n");
});

test("a rule that is not in force says why", async () => {
  // As another manager of an earlier release may have left it: today's refuses that.
  const { store } = manager.configuration;
  const key = "handler/default/deny";
  const expected = manager.configuration.get(key)!.revision;
  expect(await store.commit([{ delete: key, expected }], "somebody")).toMatchObject({ ok: true });
  manager.flush();
  const { code, out } = await ctl("explain", "rule", "no-jason", "-n", "elsewhere");
  expect(code).toBe(1);
  expect(out).toContain("not in force");
  expect(out).toContain("policy.yaml:25:24: spec.actions[0].handler: Handler not found");
  expect(out).toMatch(/^unknown +deny\.default +nothing\.checknothing\.default +unknown$/m);
  const part = await ctl("explain", "rule", "no-jason");
  expect(part.code).toBe(1);
  expect(part.out).toContain("state    in force in part\n");
});
