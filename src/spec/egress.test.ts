/** Calls out of the mesh by way of an egress proxy: who makes them, and what goes past it. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startSidecar, status } from "./mesh.ts";
import { Stage, until } from "./process.ts";

const stage = new Stage();
afterAll(() => stage.close());

test("what an egress rule lets out is called by the egress proxy", async () => {
  const app = stage.application("outside");
  const log = (name: string): string => join(stage.directory, `${name}.log`);
  const rules = (port: number): string =>
    stage.file(
      "rules.yaml",
      `kind: MeshConfig
egressProxyAddress: localhost:${port}
outboundTrafficPolicy: { mode: REGISTRY_ONLY }
---
apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: { name: out }
spec:
  destination: { service: localhost }
  ports: [{ port: ${app}, protocol: http }]
`,
    );
  const start = (name: string, file: string) => {
    const service = ["--service", `${name}.default`, "--access-log", log(name)];
    return startSidecar(stage, ["--standalone", "-f", file, ...service]);
  };
  // The address of the egress proxy is known when it listens; its rules name it from then on.
  const { outbound: port } = await start("localhost", rules(9));
  const caller = await start("web", rules(port));
  const host = `localhost:${app}`;
  await until("a way", async () => (await status(caller.outbound, "/way", host)) === 200);
  await until("the lines", () => readFileSync(log("web"), "utf8").includes(`127.0.0.1:${port}`));
  await until("the line", () => readFileSync(log("localhost"), "utf8").includes("/way"));
  for (const one of [caller.outbound, port])
    expect(await status(one, "/", "other.example")).toBe(404);
}, 30_000);
