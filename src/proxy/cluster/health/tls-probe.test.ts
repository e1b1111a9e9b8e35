/** Questions over TLS, to the runtime's own servers, and which of them a cluster asks so. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { systemClock } from "../../../core/clock.ts";
import { seededRandom } from "../../../core/random.ts";
import { TimerWheel } from "../../../io/timer-wheel.ts";
import { Metrics } from "../../../telemetry/metrics.ts";
import { CertificateAuthority } from "../../../testing/certificate-authority.ts";
import { idOf, member } from "../../../testing/mesh-member.ts";
import { trusting } from "../../../testing/tls-echo.ts";
import { VirtualClock } from "../../../testing/virtual-clock.ts";
import { UpstreamTls } from "../../upstream/upstream-tls.ts";
import { ClusterStats } from "../cluster-stats.ts";
import { Endpoint } from "../endpoint.ts";
import type { RequestStats } from "../request-stats.ts";
import type { HealthCheckPolicy, Probe, ProbeOutcome } from "./health-check.ts";
import { HealthMonitor } from "./health-monitor.ts";
import { NetworkProber } from "./network-prober.ts";
import type { ProbeTarget } from "./prober.ts";

const ours = new CertificateAuthority();
const theirs = new CertificateAuthority("Other root");
const { chain: cert, key } = ours.issue({ name: "api", for: ["DNS:api.example"] });
const prober = new NetworkProber(new TimerWheel(systemClock));

const http = {
  ...{ by: "http", method: "GET", path: "/up", host: "", headers: [] },
  expected: [[200, 200]],
} as const satisfies Probe;
const ping = new TextEncoder().encode("PING");
const tcp = { by: "tcp", send: ping, receive: [ping] } as const satisfies Probe;
const grpc = { by: "grpc", service: "", authority: "" } as const satisfies Probe;
const probes = { http, tcp, grpc };
const alpn = { http: ["http/1.1"], tcp: [], grpc: ["h2"] } as const;

const servers: (Server | Http2SecureServer)[] = [];
const seen: string[] = [];
let ports: Readonly<Record<keyof typeof probes, number>>;

async function listening(server: Server | Http2SecureServer): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  const web = createHttpsServer({ cert, key }, (request, response) => {
    seen.push(`${request.headers.host}`);
    response.end();
  });
  const echo = createTlsServer({ cert, key }, (socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  const calls = createSecureServer({ cert, key });
  calls.on("sessionError", () => {});
  calls.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    seen.push(`${headers[":scheme"]} ${headers[":authority"]}`);
    stream.respond(
      { ":status": 200, "content-type": "application/grpc" },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
  });
  for (const server of [web, echo, calls]) server.on("tlsClientError", () => {});
  ports = {
    http: await listening(web),
    tcp: await listening(echo),
    grpc: await listening(calls),
  };
});

afterAll(() => {
  for (const server of servers) server.close();
});

function tlsFor(sni: string, authority: CertificateAuthority, insecureSkipVerify = false) {
  const settings = {
    ...{ sni, subjectAltNames: [], insecureSkipVerify, host: "", protocols: ["h2"] },
    ...{ caCertificates: "", clientCertificate: "", privateKey: "" },
  };
  return new UpstreamTls(settings, { roots: trusting(authority), certificates: undefined });
}

function ask(by: keyof typeof probes, tls: UpstreamTls | undefined): Promise<ProbeOutcome> {
  const address = "127.0.0.1";
  const target = { address, port: ports[by], tls: tls?.speaking(alpn[by], address) };
  return new Promise((resolve) => prober.start(target, probes[by], resolve));
}

for (const by of ["http", "tcp", "grpc"] as const)
  describe(`by ${by}, over TLS,`, () => {
    test("a server that is who it should be passes", async () => {
      expect(await ask(by, tlsFor("api.example", ours))).toBe("passed");
      expect(await ask(by, tlsFor("other.example", theirs, true))).toBe("passed");
    });

    test("one of another root, or of another name, is not reached", async () => {
      expect(await ask(by, tlsFor("api.example", theirs))).toBe("unreachable");
      expect(await ask(by, tlsFor("other.example", ours))).toBe("unreachable");
    });
  });

// By TCP it waits for the caller's limit, as the server does.
test.each(["http", "grpc"] as const)("by %s, in plaintext, it is not answered well", async (by) => {
  expect(await ask(by, undefined)).not.toBe("passed");
});

test("who is asked is the name of TLS, unless the policy has another", async () => {
  seen.length = 0;
  await ask("http", tlsFor("api.example", ours));
  await ask("grpc", tlsFor("api.example", ours));
  expect(seen).toEqual(["api.example", "https api.example"]);
});

test("endpoints are asked with the TLS of requests as it is at that time, or without", () => {
  const clock = new VirtualClock();
  const targets: ProbeTarget[] = [];
  const monitor = new HealthMonitor({
    clock,
    random: seededRandom(1),
    stats: new ClusterStats("c", new Metrics().scope()),
    prober: {
      start(target, _probe, tell) {
        targets.push(target);
        return clock.after(1, () => tell("passed"));
      },
    },
    tries: () => 0,
    onChange: () => {},
  });
  const policy: HealthCheckPolicy = {
    ...{ probe: http, timeoutMs: 100, intervalMs: 1_000, jitterMs: 0, port: 0, plaintext: false },
    ...{ noTrafficIntervalMs: 1_000, unhealthyIntervalMs: 0 },
    ...{ unhealthyThreshold: 1, healthyThreshold: 1 },
  };
  const facts = { labels: {}, workload: "", locality: "", meshTransport: false, identity: "" };
  const at = { address: "10.0.0.1", port: 443 };
  monitor.follow([new Endpoint(at, facts, undefined as unknown as RequestStats)]);
  monitor.configure(policy, tlsFor("a.example", ours));
  clock.advance(500);
  monitor.configure({ ...policy }, tlsFor("b.example", ours));
  clock.advance(1_000);
  monitor.configure({ ...policy, plaintext: true }, tlsFor("b.example", ours));
  clock.advance(1);
  expect(targets.map(({ tls }) => tls?.serverName)).toEqual(["a.example", "b.example", undefined]);
  monitor.configure(undefined, undefined);
});

test("proxies of the mesh are asked by mutual TLS, at the port where they take it", () => {
  const clock = new VirtualClock();
  const targets: ProbeTarget[] = [];
  const monitor = new HealthMonitor({
    ...{ clock, random: seededRandom(1), identity: member({ authority: ours }) },
    stats: new ClusterStats("c", new Metrics().scope()),
    prober: {
      start(target, _probe, tell) {
        targets.push(target);
        return clock.after(1, () => tell("passed"));
      },
    },
    tries: () => 0,
    onChange: () => {},
  });
  const policy: HealthCheckPolicy = {
    ...{ probe: http, timeoutMs: 100, intervalMs: 1_000, jitterMs: 0, port: 0, plaintext: false },
    ...{ noTrafficIntervalMs: 1_000, unhealthyIntervalMs: 0 },
    ...{ unhealthyThreshold: 1, healthyThreshold: 1 },
  };
  const facts = { labels: {}, workload: "", locality: "", meshTransport: true };
  const at = { address: "10.0.0.1", port: 15_006 };
  const stats = undefined as unknown as RequestStats;
  monitor.follow([new Endpoint(at, { ...facts, identity: idOf("b") }, stats)]);
  monitor.configure(policy, undefined);
  clock.advance(500);
  const [first] = targets;
  expect(first?.tls?.expected).toMatchObject({ uris: new Set([idOf("b")]), soleUri: true });
  monitor.configure({ ...policy, port: 8_080 }, undefined);
  clock.advance(500);
  expect([targets[1]?.port, targets[1]?.tls]).toEqual([8_080, undefined]);
  monitor.configure(undefined, undefined);
});
