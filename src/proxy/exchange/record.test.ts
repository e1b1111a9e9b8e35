/** What remains of exchanges: lines of the access log and counters. */
import { expect, test } from "bun:test";
import { RetryPolicy_Hedge } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { systemClock } from "../../core/clock.ts";
import { AccessLog } from "../../telemetry/access-log.ts";
import { engineSetUp } from "../../testing/engine-set-up.ts";
import { Http2Client } from "../../testing/http2-runtime.ts";

const setUp = engineSetUp();

function memoryLog(): { log: AccessLog; lines: () => Record<string, unknown>[] } {
  let text = "";
  const decoder = new TextDecoder();
  const log = new AccessLog({
    format: "json",
    clock: systemClock,
    sink: {
      write: (bytes, done) => {
        text += decoder.decode(bytes);
        done(true);
      },
      writeSync: (bytes) => {
        text += decoder.decode(bytes);
        return true;
      },
    },
  });
  const lines = (): Record<string, unknown>[] => {
    log.close();
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  };
  return { log, lines };
}

test("an answered request is one line with what both sides said", async () => {
  const { log, lines } = memoryLog();
  const { client, service } = await setUp((_request, reply) => reply.respond(201, "made"), {
    accessLog: log,
  });
  client.send(
    "POST /a?b=1 HTTP/1.1\r\nHost: svc\r\nUser-Agent: me/1\r\nX-Request-Id: id-1\r\n" +
      "Content-Length: 3\r\n\r\nabc",
  );
  await client.takeResponse();
  expect(lines()).toMatchObject([
    {
      method: "POST",
      path: "/a?b=1",
      authority: "svc",
      user_agent: "me/1",
      request_id: "id-1",
      response_code: 201,
      response_flags: "-",
      bytes_received: 3,
      bytes_sent: 4,
      route_name: "the-rule",
      upstream_cluster: "svc",
      upstream_host: `127.0.0.1:${service.port}`,
      downstream_remote_address: `127.0.0.1:${client.localPort}`,
    },
  ]);
});

test("a line names its own request, however it came and whatever came after", async () => {
  const { log, lines } = memoryLog();
  const { client } = await setUp(undefined, { accessLog: log });
  const body = "b".repeat(100_000);
  client.send("POST /first HTTP/1.1\r\nHost: svc\r\nUser-Ag");
  await client.sent();
  client.send(`ent: one\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 40_000)}`);
  await client.sent();
  client.send(
    `${body.slice(40_000)}GET /second HTTP/1.1\r\nHost: svc\r\nUser-Agent: two\r\n\r\n` +
      "GET /third HTTP/1.1\r\nHost: svc\r\nUser-Agent: three\r\n\r\n",
  );
  for (let i = 0; i < 3; i++) await client.takeResponse();
  expect(lines()).toMatchObject([
    { method: "POST", path: "/first", user_agent: "one", bytes_received: body.length },
    { method: "GET", path: "/second", user_agent: "two", authority: "svc" },
    { method: "GET", path: "/third", user_agent: "three" },
  ]);
});

test("a failure is told by its flag, in the log and in the metrics", async () => {
  const { log, lines } = memoryLog();
  const { client, service, mesh, connect } = await setUp(undefined, { accessLog: log });
  service.close();
  client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
  await client.takeResponse();
  client.send("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n");
  await client.takeResponse();
  const broken = await connect();
  broken.send("GET / HTTP/9\r\n\r\n");
  await broken.untilEnd();
  expect(lines().map((line) => [line.response_code, line.response_flags])).toEqual([
    [503, "UF"],
    [404, "NR"],
    [expect.any(Number), "DPE"],
  ]);
  const scrape = mesh.scrape();
  expect(scrape).toMatch(/istio_requests_total\{[^}]*destination_service="svc"[^}]*"UF"[^}]*\} 1/);
  expect(scrape).toMatch(/istio_requests_total\{[^}]*"NR"[^}]*\} 1/);
  expect(scrape).toMatch(/istio_requests_total\{[^}]*"DPE"[^}]*\} 1/);
});

test("connections above the limit are refused and counted", async () => {
  const { client, mesh, connect } = await setUp(undefined, {
    limits: { downstreamConnectionsMax: 1 },
  });
  client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
  await client.takeResponse();
  const refused = await connect();
  await refused.until(() => refused.closed);
  expect(mesh.scrape()).toMatch(/envoy_listener_downstream_cx_overflow\S* 1/);
  expect(mesh.scrape()).toMatch(/envoy_http_downstream_cx_active\S* 1/);
});

test("a call over HTTP/2 has its protocol and its status", async () => {
  const { log, lines } = memoryLog();
  const { mesh } = await setUp(undefined, () => ({ accessLog: log, endpoints: [] }));
  const client = new Http2Client(mesh.port);
  const call = { ":method": "POST", ":path": "/a.B/C", "content-type": "application/grpc" };
  await client.request(call);
  await client.request({});
  client.close();
  const [first, second] = lines();
  expect(first).toMatchObject({
    protocol: "HTTP/2",
    response_code: 200,
    response_flags: "UH",
    grpc_status: "Unavailable",
  });
  expect(second).toMatchObject({ protocol: "HTTP/2", response_code: 503, response_flags: "UH" });
  expect(second).not.toHaveProperty("grpc_status");
});

test("an answer while more than one try was under way says so, and is no failure", async () => {
  const { log, lines } = memoryLog();
  let asked = 0;
  const { client } = await setUp((_request, reply) => void (++asked > 1 && reply.respond(200)), {
    accessLog: log,
    route: { retry: { attempts: 1, perTryTimeoutMs: 20, hedge: RetryPolicy_Hedge.IDEMPOTENT } },
  });
  client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
  await client.takeResponse();
  expect(lines()).toMatchObject([{ response_code: 200, response_flags: "HG" }]);
});
