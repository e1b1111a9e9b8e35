/** Requests to services that are reached by TLS, which their callers do not speak. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { Cluster_Protocol } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { accessLogText } from "../../testing/access-log-text.ts";
import { CertificateAuthority, type Issued } from "../../testing/certificate-authority.ts";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";

type Tls = NonNullable<NonNullable<EngineFixtureOptions["cluster"]>["tls"]>;

const root = new CertificateAuthority();
const stranger = new CertificateAuthority("Stranger");
const directory = mkdtempSync(join(tmpdir(), "mesh-upstream-"));
afterAll(() => rmSync(directory, { recursive: true }));
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const caCertificates = file("root.pem", root.certificate);

interface Served {
  readonly version: string;
  readonly serverName: string;
  readonly client: string;
  readonly host: string;
  readonly scheme: string;
}

/** Answers what it was asked, and how. */
async function serve(issued: Issued, options: object = {}): Promise<number> {
  const server = createSecureServer({
    ...{ cert: issued.chain, key: issued.key, allowHTTP1: true, ...options },
  });
  server.on("request", (request, response) => {
    const socket = request.socket as TLSSocket;
    const served: Served = {
      version: request.httpVersion,
      serverName: String(socket.servername),
      client: String(socket.getPeerCertificate?.()?.subject?.CN ?? ""),
      host: String(request.headers.host ?? request.headers[":authority"]),
      scheme: String(request.headers[":scheme"] ?? ""),
    };
    response.end(JSON.stringify(served));
  });
  server.on("error", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

interface Asked {
  readonly status: number;
  readonly reason: string;
  readonly served: Served | undefined;
  readonly log: Readonly<Record<string, unknown>>;
}

class Caller {
  readonly mesh: EngineFixture;
  readonly #lines: () => string;

  constructor(port: number, tls: Tls | undefined, cluster: EngineFixtureOptions["cluster"] = {}) {
    const { accessLog, read } = accessLogText();
    this.#lines = read;
    this.mesh = new EngineFixture({
      ...{ endpoints: [port], accessLog, cluster: { ...cluster, ...(tls && { tls }) } },
    });
    closers.push(() => this.mesh.close());
  }

  async ask(): Promise<Asked> {
    const response = await fetch(`http://127.0.0.1:${this.mesh.port}/`, {
      headers: { host: "svc" },
    });
    const body = await response.text();
    await this.#log();
    const last = this.#lines().trim().split("\n").at(-1)!;
    return {
      status: response.status,
      reason: response.headers.get("x-mesh-reason") ?? "",
      served: response.status === 200 ? JSON.parse(body) : undefined,
      log: JSON.parse(last),
    };
  }

  async #log(): Promise<void> {
    while (!this.#lines().endsWith("\n")) await Bun.sleep(1);
  }
}

const svc = root.issue({ name: "svc", for: ["DNS:svc", "DNS:*.svc.example"] });

test("a service is asked by its name, and its certificate has to be for that", async () => {
  const { served } = await new Caller(await serve(svc), { caCertificates }).ask();
  expect(served).toEqual({
    version: "1.1",
    serverName: "svc",
    client: "",
    host: "svc",
    scheme: "",
  });
});

test("HTTP/2 is agreed on where the service speaks it", async () => {
  const cluster = { protocol: Cluster_Protocol.HTTP2 };
  const { served } = await new Caller(await serve(svc), { caCertificates }, cluster).ask();
  expect(served).toMatchObject({ version: "2.0", serverName: "svc", scheme: "https" });
});

test("a certificate of ours is shown where the rule names one", async () => {
  const own = root.issue({ name: "caller" });
  const tls = {
    caCertificates,
    clientCertificate: file("own.pem", own.chain),
    privateKey: file("own.key", own.key),
  };
  const options = { requestCert: true, rejectUnauthorized: true, ca: root.certificate };
  const { served } = await new Caller(await serve(svc, options), tls).ask();
  expect(served?.client).toBe("caller");
});

const rows: readonly (readonly [what: string, tls: Tls, failure: RegExp | undefined])[] = [
  ["another name", { caCertificates, sni: "a.svc.example" }, undefined],
  ["a name that it does not have", { caCertificates, sni: "x.example" }, /^tls-wrong-identity/],
  ["one of several names", { caCertificates, subjectAltNames: ["x", "b.svc.example"] }, undefined],
  ["none of several", { caCertificates, subjectAltNames: ["x", "y"] }, /^tls-wrong-identity/],
  ["roots of the system", {}, /^tls-untrusted: .*(SELF_SIGNED|UNABLE)/],
  [
    "another root",
    { caCertificates: file("stranger.pem", stranger.certificate) },
    /^tls-untrusted: .*(SELF_SIGNED|UNABLE)/,
  ],
  [
    "roots that are missing",
    { caCertificates: join(directory, "none.pem") },
    /^tls-untrusted: there are no roots/,
  ],
  ["nobody in particular", { insecureSkipVerify: true }, undefined],
];
for (const [what, tls, failure] of rows)
  test(`who is to prove ${what} ${failure === undefined ? "is" : "is not"} believed`, async () => {
    const { status, reason, log } = await new Caller(await serve(svc), tls).ask();
    if (failure === undefined) return expect(status).toBe(200);
    expect([status, reason]).toEqual([503, "upstream-tls-failure"]);
    expect(log.response_flags).toBe("UF");
    expect(String(log.upstream_transport_failure_reason)).toMatch(failure);
  });

test("a port that speaks no TLS is a failed handshake", async () => {
  const plain = createServer();
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  closers.push(() => plain.close());
  const { port } = plain.address() as { port: number };
  const { status, log } = await new Caller(port, { caCertificates }).ask();
  expect(status).toBe(503);
  expect(String(log.upstream_transport_failure_reason)).toMatch(/^tls-failed/);
});

test("a server that does not agree on HTTP/2 is not asked in it", async () => {
  const server = createHttpsServer({ cert: svc.chain, key: svc.key }, (_, response) =>
    response.end(),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  const { port } = server.address() as { port: number };
  const cluster = { protocol: Cluster_Protocol.HTTP2 };
  const { log } = await new Caller(port, { caCertificates }, cluster).ask();
  expect(String(log.upstream_transport_failure_reason)).toMatch(
    /^tls-failed: .*no-common-protocol/,
  );
});

test("connections of one way to secure them are not used in another", async () => {
  for (const protocol of [Cluster_Protocol.HTTP, Cluster_Protocol.HTTP2]) {
    const caller = new Caller(await serve(svc), { caCertificates }, { protocol });
    expect((await caller.ask()).served?.serverName).toBe("svc");
    caller.mesh.publish({ cluster: { protocol, tls: { caCertificates, sni: "a.svc.example" } } });
    expect((await caller.ask()).served?.serverName).toBe("a.svc.example");
    caller.mesh.publish({ cluster: { protocol, tls: { caCertificates, sni: "x.example" } } });
    expect((await caller.ask()).status).toBe(503);
  }
});
