/** Proxies that end, and proxies that go on: what they counted is in the mixer's scrape. */
import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { get, managerPorts, managerUrl, startManager, startSidecar, status } from "./mesh.ts";
import { ctl, Stage, until } from "./process.ts";

const stage = new Stage();
afterAll(() => stage.close());

const rules = `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: count, namespace: default }
spec:
  match: context.reporter.kind == "inbound"
  actions:
  - handler:
      compiledAdapter: prometheus
      params:
        metrics:
        - name: calls
          instance_name: count[0][0].instance.default
          kind: COUNTER
          label_names: [code]
    instances:
    - compiledTemplate: metric
      params: { value: "1", dimensions: { code: response.code } }
`;

test("two proxies, one of them with two threads, are one sum", async () => {
  const ports = managerPorts();
  await startManager(stage, ports);
  const [listen, monitor] = freePorts(2);
  stage.mesh([
    ...["mixer", "--listen", `127.0.0.1:${listen}`, "--metrics", `127.0.0.1:${monitor}`],
    ...["--manager", managerUrl(ports), "--state-dir", join(stage.directory, "mixer")],
    ...["--admin", "127.0.0.1:0"],
  ]);
  await until("the mixer to be ready", async () => (await status(monitor!, "/ready")) === 200);
  const file = stage.file("rules.yaml", rules);
  const applied = await ctl("apply", "--manager", managerUrl(ports), "-f", file);
  expect({ code: applied.code, err: applied.err }).toEqual({ code: 0, err: "" });
  const start = (...more: string[]) =>
    startSidecar(stage, [
      ...["--manager", managerUrl(ports), "--service", "reviews.default", "--service-port", "9080"],
      ...["--app-port", String(stage.application("ok")), "--mixer", `127.0.0.1:${listen}`, ...more],
    ]);
  const proxies = [await start(), await start("--concurrency", "2")];
  const calls = async (): Promise<string | undefined> => {
    const text = await (await fetch(`http://127.0.0.1:${monitor}/metrics`)).text();
    return /^istio_calls\{code="200"\} (\d+)$/m.exec(text)?.[1];
  };
  const ask = async (inbound: number): Promise<void> => {
    for (let i = 0; i < 10; i++)
      expect((await get(inbound, "reviews.default:9080", "/")).status).toBe(200);
  };
  for (const { admin } of proxies)
    await until("the rule to be in force", async () => {
      const page = await (await fetch(`http://127.0.0.1:${admin}/policy`)).text();
      return page.includes("count.rule.default::");
    });
  for (const { inbound } of proxies) await ask(inbound);
  for (const { running } of proxies) {
    running.child.kill("SIGTERM");
    await running.child.exited;
  }
  await until("what ended proxies counted", async () => (await calls()) === "20");
  await ask((await start()).inbound);
  await until("what a proxy counts while it runs", async () => (await calls()) === "30");
}, 60_000);
