/** h2spec, the conformance test of HTTP/2 servers, against the listeners of the built binary. */
import { afterAll, expect, test } from "bun:test";
import { Edge, serviceEntry } from "./edge.ts";
import {
  managerPorts,
  managerUrl,
  startManager,
  startSidecar,
  status,
  untilKnown,
} from "./mesh.ts";
import { h2spec, makeGo, run } from "./peer.ts";
import { ctl, Stage, until } from "./process.ts";

const CASES = 146;
const { missing, skipped } = await makeGo();
const stage = new Stage();
afterAll(() => stage.close());

/** All cases, the strict ones too: how many passed, and the report on those that did not. */
async function judge(
  port: number,
  ...extra: readonly string[]
): Promise<{ passed: number; faults: string }> {
  const at = ["--host", "localhost", "--port", String(port), ...extra];
  const { out, err } = await run([h2spec, ...at, "--strict", "--timeout", "5"], {}, 100_000);
  const [, total = "0", passed = "0"] = /(\d+) tests, (\d+) passed/.exec(out) ?? [];
  const failures = out.indexOf("Failures:");
  const faults = failures === -1 ? "" : out.slice(failures);
  expect({ total, err }).toEqual({ total: String(CASES), err: "" });
  return { passed: Number(passed), faults };
}

test.skipIf(skipped)(
  "h2spec, all cases strict: the inbound listener, and the outbound one with a rule",
  async () => {
    expect(missing).toBe("");
    // What h2spec calls is named after where it connects, so that is what the service is named.
    const ports = managerPorts();
    await startManager(stage, ports);
    const manager = ["--manager", managerUrl(ports)];
    const caller = await startSidecar(stage, [...manager, "--service", "client.default"]);
    const callee = await startSidecar(stage, [
      ...[...manager, "--service", "localhost.default"],
      ...["--app-port", String(stage.application("h2spec was here"))],
      ...["--service-port", String(caller.outbound)],
    ]);
    const rule = stage.file(
      "rule.yaml",
      `type: route-rule
name: localhost-default
spec:
  destination: localhost.default.svc.cluster.local
  precedence: 1
  httpReqTimeout: { simpleTimeout: { timeout: 10s } }
  route:
  - { tags: {}, weight: 100 }
`,
    );
    expect((await ctl("apply", "-f", rule, "--manager", managerUrl(ports))).err).toBe("");
    await untilKnown(caller, "localhost");
    const host = `localhost:${caller.outbound}`;
    await until("a way", async () => (await status(caller.outbound, "/", host)) === 200);
    await until("the app", async () => (await status(callee.inbound, "/", host)) === 200);
    const [inner, outer] = await Promise.all([judge(callee.inbound), judge(caller.outbound)]);
    expect(inner).toEqual({ passed: CASES, faults: "" });
    expect(outer).toEqual({ passed: CASES, faults: "" });
  },
  120_000,
);

test.skipIf(skipped)(
  "h2spec, all cases strict: a gateway over TLS",
  async () => {
    expect(missing).toBe("");
    const edge = new Edge(stage);
    edge.secret("local-cert", edge.issue("localhost"));
    const rules = `${serviceEntry("spec", 80, stage.application("h2spec was here"))}---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web, annotations: { "kubernetes.io/ingress.class": istio } }
spec:
  tls: [{ hosts: [localhost], secretName: local-cert }]
  rules:
  - host: localhost
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: { service: { name: spec, port: { number: 80 } } }
`;
    const gateway = await edge.start(["--standalone", "-f", stage.file("edge.yaml", rules)]);
    expect((await edge.curl(gateway, "https://localhost/")).version).toBe("HTTP/2");
    const { passed, faults } = await judge(gateway.https, "--tls", "--insecure");
    expect({ passed, faults }).toEqual({ passed: CASES, faults: "" });
  },
  120_000,
);
