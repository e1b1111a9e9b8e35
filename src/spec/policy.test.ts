/** Rules of policy in a running mesh: who may call, how often, and what is counted. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { Load } from "./load.ts";
import {
  get,
  type ManagerPorts,
  managerPorts,
  managerUrl,
  type Sidecar,
  startManager,
  startSidecar,
  untilKnown,
} from "./mesh.ts";
import { ctl, Stage, until } from "./process.ts";

const stage = new Stage();
const HOST = "reviews:9080";
let ports: ManagerPorts;
let caller: Sidecar;
let callee: Sidecar;

beforeAll(async () => {
  ports = managerPorts();
  await startManager(stage, ports);
  const manager = ["--manager", managerUrl(ports)];
  const app = stage.serve((request) => {
    const { searchParams } = new URL(request.url);
    const seen = request.headers.get("x-by-rule") ?? "";
    const status = Number(searchParams.get("status") ?? 200);
    return new Response(`ok ${seen}`, { status, headers: { "x-secret": "s", server: "app" } });
  });
  callee = await startSidecar(stage, [
    ...[...manager, "--service", "reviews.default", "--labels", "version=v1"],
    ...["--app-port", String(app), "--service-port", "9080"],
  ]);
  caller = await startSidecar(stage, [...manager, "--service", "client.default"]);
  await untilKnown(caller, "reviews");
}, 60_000);

afterAll(() => stage.close());

/** Puts `text` in force, alone, and waits until it shows. */
async function withRules(text: string, shows: () => Promise<boolean>): Promise<void> {
  const file = stage.file("policy.yaml", text);
  const result = await ctl("apply", "--manager", managerUrl(ports), "-f", file);
  expect({ code: result.code, err: result.err }).toEqual({ code: 0, err: "" });
  await until("the rules to be in force", shows);
}

const ruleOf = (name: string, spec: string): string => `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: ${name}, namespace: default }
spec:
${spec}
`;

const inbound = '(context.reporter.kind | "inbound") == "inbound"';

/** They do nothing any more. */
async function retire(): Promise<void> {
  const file = join(stage.directory, "policy.yaml");
  const { code, err } = await ctl("delete", "--manager", managerUrl(ports), "-f", file);
  expect({ code, err }).toEqual({ code: 0, err: "" });
}

async function page(sidecar: Sidecar, path: string): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${sidecar.admin}${path}`)).text();
}

test("a rule denies by a header, and says so to the caller and to the operator", async () => {
  const jason = { "end-user": "jason" };
  await withRules(
    ruleOf(
      "no-jason",
      `  match: ${inbound} && request.headers["end-user"] == "jason"
  actions:
  - handler: { compiledAdapter: denier, params: { status: { code: 7, message: not you } } }
    instances: [{ compiledTemplate: checknothing }]`,
    ),
    async () => (await get(caller.outbound, HOST, "/", jason)).status === 403,
  );
  const denied = await get(caller.outbound, HOST, "/", jason);
  expect(denied.body).toStartWith("PERMISSION_DENIED:");
  expect(denied.body).toEndWith("not you");
  expect(denied.headers.get("x-mesh-reason")).toBe("policy-denied; no-jason.rule.default");
  expect((await get(caller.outbound, HOST, "/", { "end-user": "kate" })).status).toBe(200);
  expect((await get(caller.outbound, HOST)).status).toBe(200);
  const shown = await page(callee, "/policy");
  expect(shown).toContain("no-jason.rule.default::runs_at::proxy\n");
  expect(shown).toMatch(/no-jason\.rule\.default::denied::[1-9]/);
  expect(shown).toContain("policy.yaml:2");
  expect(await page(callee, "/stats/prometheus")).toMatch(/response_flags="UAEX"/);
  const told = await ctl("config", "--admin", `127.0.0.1:${callee.admin}`, "policy");
  expect(told).toMatchObject({ code: 0, err: "" });
  expect(told.out).toMatch(/no-jason\.default +proxy +[1-9]\d* +[1-9]/);
  await retire();
  await until("jason to be let in", async () => {
    return (await get(caller.outbound, HOST, "/", jason)).status === 200;
  });
});

test("a rule tells callers apart by what their sidecars say of them", async () => {
  await withRules(
    ruleOf(
      "no-client",
      `  match: ${inbound} && source.labels["app"] == "client" && source.namespace == "default"
  actions:
  - handler: { compiledAdapter: denier, params: { status: { code: 16 } } }
    instances: [{ compiledTemplate: checknothing }]`,
    ),
    async () => (await get(caller.outbound, HOST)).status === 401,
  );
  await retire();
  await until("the client to be let in", async () => {
    return (await get(caller.outbound, HOST)).status === 200;
  });
});

test("of a burst of 1,000 a limit of 100 a second lets exactly 100 through", async () => {
  await withRules(
    ruleOf(
      "limit",
      `  match: ${inbound} && request.url_path == "/limited"
  rateLimit: 100/60s`,
    ),
    async () => (await page(callee, "/policy")).includes("limit.rule.default::"),
  );
  const statuses = new Map<number, number>();
  const answers = await Promise.all(
    Array.from({ length: 1_000 }, () => get(caller.outbound, HOST, "/limited")),
  );
  for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  expect(Object.fromEntries(statuses)).toEqual({ 200: 100, 429: 900 });
  const refused = answers.find(({ status }) => status === 429)!;
  expect(refused.headers.get("x-mesh-reason")).toBe("rate-limited; limit.rule.default");
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  expect((await get(caller.outbound, HOST)).status).toBe(200);
  await retire();
});

test("a call within a namespace is charged once, though two sidecars see it", async () => {
  await withRules(
    ruleOf("three", '  match: request.url_path == "/three"\n  rateLimit: 3/60s'),
    async () =>
      (await page(callee, "/policy")).includes("three.rule.default::") &&
      (await page(caller, "/policy")).includes("three.rule.default::"),
  );
  const statuses: number[] = [];
  for (let i = 0; i < 5; i++) statuses.push((await get(caller.outbound, HOST, "/three")).status);
  expect(statuses).toEqual([200, 200, 200, 429, 429]);
  expect(await page(caller, "/policy")).toContain("three.rule.default::matched::0\n");
  await retire();
});

test("a list says who may call", async () => {
  await withRules(
    ruleOf(
      "versions",
      `  match: ${inbound}
  actions:
  - handler: { compiledAdapter: listchecker, params: { overrides: [v1, v2] } }
    instances:
    - { compiledTemplate: listentry, params: { value: 'request.headers["x-version"] | "v1"' } }`,
    ),
    async () => (await get(caller.outbound, HOST, "/", { "x-version": "v9" })).status === 403,
  );
  const refused = await get(caller.outbound, HOST, "/", { "x-version": "v9" });
  expect(refused.body).toContain("v9 is not whitelisted");
  expect((await get(caller.outbound, HOST, "/", { "x-version": "v2" })).status).toBe(200);
  await retire();
  await until("v9 to be let in", async () => {
    return (await get(caller.outbound, HOST, "/", { "x-version": "v9" })).status === 200;
  });
});

test("header operations change requests and responses", async () => {
  await withRules(
    ruleOf(
      "headers",
      `  match: ${inbound}
  requestHeaderOperations:
  - { name: x-by-rule, values: ['"mesh" + request.url_path'] }
  responseHeaderOperations:
  - { name: server, values: ['"mesh"'] }
  - { name: x-secret, operation: REMOVE }`,
    ),
    async () => (await get(caller.outbound, HOST, "/a")).body === "ok mesh/a",
  );
  const answer = await get(caller.outbound, HOST, "/a", { "x-by-rule": "forged" });
  expect(answer.body).toBe("ok mesh/a");
  expect(answer.headers.get("server")).toBe("mesh");
  expect(answer.headers.has("x-secret")).toBe(false);
  await retire();
});

test("an operator's metric is among the proxy's own, and counts all requests", async () => {
  await withRules(
    ruleOf(
      "metric",
      `  match: ${inbound} && request.url_path == "/counted"
  actions:
  - handler:
      compiledAdapter: prometheus
      params:
        metrics:
        - name: calls
          instance_name: metric[0][0].instance.default
          kind: COUNTER
          label_names: [code, service]
    instances:
    - compiledTemplate: metric
      params:
        value: "1"
        dimensions: { code: response.code, service: destination.service.name }`,
    ),
    async () => (await page(callee, "/policy")).includes("metric.rule.default::"),
  );
  for (let i = 0; i < 20; i++)
    await get(caller.outbound, HOST, `/counted?status=${i < 5 ? 500 : 200}`);
  const text = await page(callee, "/stats/prometheus");
  expect(text).toContain('istio_calls{code="200",service="reviews"} 15\n');
  expect(text).toMatch(/istio_calls\{code="500",service="reviews"\} [5-9]/);
  expect(text).toContain("istio_requests_total");
  await retire();
});

test("rules change under load without a failed request", async () => {
  const load = new Load({ port: caller.outbound, host: HOST, connections: 16 }).start();
  for (let i = 0; i < 6; i++) {
    await withRules(
      ruleOf(
        "changing",
        `  match: ${inbound} && request.headers["x-none"] == "round ${i}"
  actions:
  - handler: { compiledAdapter: denier }
    instances: [{ compiledTemplate: checknothing }]
  responseHeaderOperations:
  - { name: x-round, values: ['"round ${i}"'] }`,
      ),
      async () =>
        (await get(caller.outbound, HOST, "/", { "x-none": `round ${i}` })).status === 400,
    );
    await load.reach(200);
  }
  const { requests, failures } = await load.stop();
  expect(failures).toEqual([]);
  expect(requests).toBeGreaterThan(1_000);
  await retire();
}, 60_000);
