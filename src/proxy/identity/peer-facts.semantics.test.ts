/** What becomes of a caller's identity: log, metrics, the application; and how it ends. */
import { afterEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../core/clock.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { accessLogText } from "../../testing/access-log-text.ts";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { EngineFixture } from "../../testing/engine-fixture.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import { Guard, idOf, member } from "../../testing/mesh-member.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { until } from "../../testing/tls-echo.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const root = new CertificateAuthority();
const ask = "GET / HTTP/1.1\r\nHost: svc\r\nX-Forwarded-Client-Cert: URI=spiffe://made/up\r\n\r\n";

/** Two proxies in a row, in front of an application. */
async function pair(meshTransport: boolean) {
  const service = new FakeUpstream();
  const { accessLog, read: log } = accessLogText();
  const far = new EngineFixture({ endpoints: [], accessLog });
  const security = new Guard(member({ authority: root }), "permissive");
  const port = far.listenInbound(service.port, "http", { security, tellsPeers: true });
  const identity = member({ authority: root, account: "web" });
  const near = new EngineFixture({
    ...{ endpoints: [port], peer: idOf("svc"), identity, meshTransport },
  });
  const client = await near.connect();
  closers.push(
    () => service.close(),
    () => far.close(),
    () => near.close(),
    () => client.terminate(),
  );
  return { service, far, near, client, port, log };
}

describe.each([false, true])("over the mesh's transport: %s", (meshTransport) => {
  test("the application, the log and the metrics know who called", async () => {
    const { client, service, far, log } = await pair(meshTransport);
    client.send(ask);
    expect((await client.takeResponse()).body).toBe("ok");
    const told = service.requests[0]?.field("x-forwarded-client-cert");
    expect(told).toMatch(
      /^Hash=[0-9a-f]{64};Subject="CN=web";URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/web$/,
    );
    await until(() => log().includes("\n"), "the line");
    expect(JSON.parse(log())).toMatchObject({
      downstream_peer_uri_san: idOf("web"),
      downstream_tls_version: "TLSv1.3",
      downstream_tls_alpn: meshTransport ? "mesh-h2" : "mesh-http/1.1",
    });
    const counted = renderPrometheus([far.metrics]);
    expect(counted).toMatch(/istio_requests_total\{connection_security_policy="mutual_tls"/);
  });

  test("a connection whose peer's time is over ends after its answer; nothing fails", async () => {
    const { client, service, far, near } = await pair(meshTransport);
    client.send(ask);
    await client.takeResponse();
    const inOneYear = systemClock.wallMs() + 366 * 86_400_000;
    far.engine.retireExpired(inOneYear);
    for (let i = 0; i < 3; i++) {
      client.send(ask);
      expect((await client.takeResponse()).head).toStartWith("HTTP/1.1 200");
    }
    near.engine.retireExpired(inOneYear);
    client.send(ask);
    expect((await client.takeResponse()).head).toStartWith("HTTP/1.1 200");
    expect(service.requests).toHaveLength(5);
    far.engine.retireExpired(0);
    near.engine.retireExpired(0);
    client.send(ask);
    expect((await client.takeResponse()).head).toStartWith("HTTP/1.1 200");
  });
});

test("who calls in plaintext has proved nothing, whatever he says", async () => {
  const { port, service, far } = await pair(false);
  const client = await RawClient.connect({ port });
  closers.push(() => client.terminate());
  client.send(ask);
  await client.takeResponse();
  expect(service.requests[0]?.field("x-forwarded-client-cert")).toBeUndefined();
  expect(renderPrometheus([far.metrics])).toMatch(/connection_security_policy="none"/);
});
