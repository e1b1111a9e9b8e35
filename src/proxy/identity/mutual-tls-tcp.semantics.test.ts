/** Connections that are passed on as they are, between proxies that prove who they are. */
import { afterEach, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { seededRandom } from "../../core/random.ts";
import { HeldBytes } from "../../io/held-bytes.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import { Guard, idOf, member } from "../../testing/mesh-member.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { compileForRelays } from "../../testing/relay-fixture.ts";
import { nodeTls, until } from "../../testing/tls-echo.ts";
import { TcpPlane } from "../tcp/tcp-plane.ts";
import type { MeshIdentity } from "./mesh-identity.ts";
import type { MutualTlsMode } from "./mutual-tls-modes.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const root = new CertificateAuthority();
const anywhere = { hostname: "127.0.0.1", port: 0 };

function plane(identity: MeshIdentity) {
  const metrics = new Metrics();
  const made = new TcpPlane({
    ...{ clock: systemClock, random: seededRandom(1), metrics, identity },
    log: new Log("proxy", { level: "error" }),
    connectionsMax: 100,
    held: new HeldBytes(1 << 20),
  });
  closers.push(() => made.close());
  return { plane: made, metrics };
}

/** An application that speaks first, behind its proxy. */
function callee(mode: MutualTlsMode) {
  const service = new FakeUpstream({ onConnection: (reply) => reply.send("hello") });
  closers.push(() => service.close());
  const { metrics, plane: far } = plane(member({ authority: root }));
  const guard = new Guard(member({ authority: root }), mode);
  const app = {
    ...{ hostname: "127.0.0.1", port: service.port, service: "db", version: "v1" },
    ...{ connectTimeoutMs: 1_000, protocol: "tcp" as const },
  };
  const { port } = far.listenApplication(app, anywhere, { security: guard });
  return { service, port, guard, metrics };
}

/** A client of its own proxy, which calls the endpoint at `port`. */
async function call(port: number, identity: string, requiresIdentity = false): Promise<RawClient> {
  const near = plane(member({ authority: root, account: "web" }));
  const config = create(ProxyConfigSchema, {
    version: "1",
    clusters: [{ name: "db", service: "db", port: 5_432, requiresIdentity }],
    endpointSets: [{ cluster: "db", endpoints: [{ address: "127.0.0.1", port, identity }] }],
    tcpDestinations: [
      {
        ...{ name: "db:5432", port: 5_432, addresses: ["10.0.0.9"] },
        routes: [{ name: "default-route", clusters: [{ cluster: "db", weight: 1 }] }],
      },
    ],
  });
  const snapshot = compileForRelays(config, near.metrics, systemClock);
  closers.push(() => snapshot.close());
  near.plane.publish(snapshot);
  const listener = near.plane.listenFor("db:5432", anywhere);
  const client = await RawClient.connect({ port: listener.port });
  closers.push(() => client.terminate());
  return client;
}

test("bytes pass both ways, the server's first, and FIN after them", async () => {
  const { port, service, metrics } = callee("strict");
  const client = await call(port, idOf("svc"));
  expect(await client.takeBytes(5)).toBe("hello");
  client.send("select 1;");
  await until(() => service.received === "select 1;", "what was sent");
  client.shutdown();
  await until(() => client.ended, "the end");
  const lines = renderPrometheus([metrics]).split("\n");
  const opened = lines.filter((line) => line.startsWith("istio_tcp_connections_opened_total"));
  expect(opened.join()).toContain('connection_security_policy="mutual_tls"');
});

test("a large amount passes whole", async () => {
  const { port, service } = callee("strict");
  const client = await call(port, idOf("svc"));
  await client.takeBytes(5);
  const text = "0123456789abcdef".repeat(64 * 1_024);
  client.send(text);
  await until(() => service.received.length === text.length, "all of it");
  expect(service.received === text).toBe(true);
});

test("STRICT: plaintext gets nothing, not even the greeting", async () => {
  const { port, guard, service } = callee("strict");
  const client = await RawClient.connect({ port });
  client.send("hello?");
  await client.until(() => client.ended, "the end");
  expect(client.received).toBe("");
  expect(guard.refusals()).toEqual({ "not-tls": 1 });
  expect(service.received).toBe("");
});

test("PERMISSIVE: a client that waits for the greeting gets it after a moment", async () => {
  const { port } = callee("permissive");
  const client = await RawClient.connect({ port });
  closers.push(() => client.terminate());
  expect(await client.takeBytes(5)).toBe("hello");
});

test("somebody else at the address is told nothing", async () => {
  const { port, service } = callee("permissive");
  const client = await call(port, idOf("other"));
  client.send("secret");
  await client.until(() => client.wasReset, "the reset");
  expect(service.received).toBe("");
});

test("where an identity is required nobody is called without", async () => {
  const { port, service } = callee("permissive");
  const client = await call(port, "", true);
  await client.until(() => client.closed, "the end");
  expect(service.received).toBe("");
});

test("a client without a certificate gets no greeting", async () => {
  const { port, guard } = callee("permissive");
  const { received } = await nodeTls(port, { ALPNProtocols: ["mesh-tcp"] });
  await until(() => guard.refusals()["certificate-required"] === 1, "the refusal");
  expect(received()).toBe("");
});
