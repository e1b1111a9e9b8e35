/** Who is let in by an inbound port, and who is called: real sockets, and peers of other makes. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { CertificateAuthority, type Issued } from "../../testing/certificate-authority.ts";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import { freePorts } from "../../testing/free-port.ts";
import { believe, Guard, idOf, member, show } from "../../testing/mesh-member.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { lacksOpenssl, nodeTls, opensslClient, until } from "../../testing/tls-echo.ts";
import type { MutualTlsMode } from "./mutual-tls-modes.ts";

setDefaultTimeout(30_000);
const withOpenssl = test.skipIf(lacksOpenssl);
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const root = new CertificateAuthority();
const stranger = new CertificateAuthority("Strange root");
const web = root.issue({ name: "web", for: [`URI:${idOf("web")}`] });
const HOUR_MS = 3_600_000;
const ask = "GET / HTTP/1.1\r\nHost: svc\r\n\r\n";
const stranger1 = `URI:${idOf("web", "other.example")}`;

/** An application behind an inbound port. */
function callee(mode: MutualTlsMode = "permissive", domains?: readonly string[]) {
  const service = new FakeUpstream();
  const mesh = new EngineFixture({ endpoints: [] });
  const identity = member({ authority: root, ...(domains && { domains }) });
  const guard = new Guard(identity, mode);
  const port = mesh.listenInbound(service.port, "http", { security: guard });
  closers.push(
    () => service.close(),
    () => mesh.close(),
  );
  return { service, mesh, guard, port, identity };
}

interface Client {
  readonly shows?: Issued;
  readonly speaks?: readonly string[];
}

/** As a proxy would call, but for what it shows; "": it was not answered. */
async function call(port: number, { shows, speaks = ["mesh-http/1.1"] }: Client): Promise<string> {
  const { socket, error, received } = await nodeTls(port, {
    ...(shows && { cert: shows.chain, key: shows.key }),
    ALPNProtocols: [...speaks],
  });
  closers.push(() => socket.destroy());
  if (error !== undefined) return "";
  let closed = false;
  socket.on("close", () => {
    closed = true;
  });
  socket.on("error", () => {});
  socket.write(ask);
  await until(() => received().includes("\r\n\r\n") || closed, "an answer, or the end");
  return received().split("\r\n")[0] ?? "";
}

const rows: readonly (readonly [what: string, shows: Issued | undefined, reason: string])[] = [
  ["no certificate", undefined, "certificate-required"],
  [
    "one that has expired",
    root.issue({ name: "old", for: [`URI:${idOf("web")}`], untilMs: Date.now() - 1_000 }),
    "certificate-refused",
  ],
  [
    "one that is not valid yet",
    root.issue({ name: "young", for: [`URI:${idOf("web")}`], fromMs: Date.now() + HOUR_MS }),
    "certificate-refused",
  ],
  [
    "one of another authority",
    stranger.issue({ name: "web", for: [`URI:${idOf("web")}`] }),
    "certificate-refused",
  ],
  [
    "one that it signed itself",
    new CertificateAuthority("web").selfSigned({ for: [`URI:${idOf("web")}`] }),
    "certificate-refused",
  ],
  [
    "one that it signed itself, in the root's name",
    new CertificateAuthority().selfSigned({ for: [`URI:${idOf("web")}`] }),
    "certificate-refused",
  ],
  ["one of another trust domain", root.issue({ name: "x", for: [stranger1] }), "wrong-identity"],
  ["one without an identity", root.issue({ name: "x" }), "wrong-identity"],
  ["one of a host", root.issue({ name: "x", for: ["DNS:web.default"] }), "wrong-identity"],
  [
    "one with two identities",
    root.issue({ name: "x", for: [`URI:${idOf("web")}`, `URI:${idOf("admin")}`] }),
    "wrong-identity",
  ],
  [
    "one with an identity and a URI that cannot be printed",
    root.issue({ name: "x", for: [`URI:${idOf("web")}`, "URI:a, b"] }),
    "wrong-identity",
  ],
  [
    "one with a NUL in its identity",
    root.issue({ name: "x", for: [`URI:${idOf("web")}\0.evil`] }),
    "wrong-identity",
  ],
  [
    "one whose trust domain ends in a NUL",
    root.issue({ name: "x", for: ["URI:spiffe://cluster.local\0.evil/ns/default/sa/web"] }),
    "wrong-identity",
  ],
  [
    "one with the identity in a name of a host",
    root.issue({ name: "x", for: [`DNS:a, URI:${idOf("web")}`] }),
    "wrong-identity",
  ],
  [
    "one with another scheme",
    root.issue({ name: "x", for: ["URI:https://cluster.local/ns/default/sa/web"] }),
    "wrong-identity",
  ],
  [
    "one with another path",
    root.issue({ name: "x", for: ["URI:spiffe://cluster.local/admin"] }),
    "wrong-identity",
  ],
];

describe("an inbound port", () => {
  test.each(["permissive", "strict"] as const)("lets a member in: %s", async (mode) => {
    const { port, guard } = callee(mode);
    expect(await call(port, { shows: web })).toBe("HTTP/1.1 200 OK");
    expect(guard.refusals()).toEqual({});
  });

  for (const mode of ["permissive", "strict"] as const)
    test.each(rows)(`${mode}: a client that shows %s is refused`, async (_, shows, reason) => {
      const { port, guard, service } = callee(mode);
      expect(await call(port, { ...(shows && { shows }) })).toBe("");
      await until(() => guard.refusals()[reason] === 1, `the refusal: ${reason}`);
      expect(Object.keys(guard.refusals())).toEqual([reason]);
      expect(guard.lines).toHaveLength(1);
      expect(guard.lines[0]).toContain(` reason=${reason} `);
      expect(service.received).toBe("");
      // And whoever comes next is served.
      expect(await call(port, { shows: web })).toBe("HTTP/1.1 200 OK");
    });

  test("members of a domain of the same mesh are let in", async () => {
    const { port } = callee("strict", ["cluster.local", "other.example"]);
    const shows = root.issue({ name: "x", for: [stranger1] });
    expect(await call(port, { shows })).toBe("HTTP/1.1 200 OK");
  });

  test("PERMISSIVE serves plaintext on the same port, STRICT refuses it", async () => {
    const { port, guard, service } = callee();
    const plain = async (): Promise<string> => {
      const client = await RawClient.connect({ port });
      closers.push(() => client.terminate());
      client.send(ask);
      await client.until(() => client.ended || client.received.endsWith("ok"), "the outcome");
      return client.received.split("\r\n")[0] ?? "";
    };
    expect(await plain()).toBe("HTTP/1.1 200 OK");
    expect(await call(port, { shows: web })).toBe("HTTP/1.1 200 OK");
    guard.mode = "strict";
    expect(await plain()).toBe("");
    expect(guard.refusals()).toEqual({ "not-tls": 1 });
    guard.ports = { [service.port]: "permissive" };
    expect(await plain()).toBe("HTTP/1.1 200 OK");
    guard.mode = "permissive";
    guard.ports = { [service.port]: "strict" };
    expect(await plain()).toBe("");
    guard.mode = "strict";
    guard.ports = { [service.port]: "disable" };
    expect(await plain()).toBe("HTTP/1.1 200 OK");
    expect(await call(port, { shows: web })).not.toContain("200");
  });

  test("a proxy whose first words come late is no client in plaintext", async () => {
    const { port } = callee();
    const front = Bun.listen<{ back?: Bun.Socket }>({
      ...{ hostname: "127.0.0.1", port: 0 },
      socket: {
        async open(client) {
          client.data = {};
          client.pause();
          client.data.back = await Bun.connect({
            ...{ hostname: "127.0.0.1", port },
            socket: {
              data: (_, bytes) => void client.write(bytes),
              close: () => void client.end(),
            },
          });
          // Longer than a server that speaks first is waited for.
          await Bun.sleep(300);
          client.resume();
        },
        data: (client, bytes) => void client.data.back?.write(bytes),
      },
    });
    closers.push(() => front.stop(true));
    expect(await call(front.port, { shows: web })).toBe("HTTP/1.1 200 OK");
  });

  test("TLS that no proxy of ours speaks is the application's own, but where all is", async () => {
    const { port, guard, service } = callee();
    expect(await call(port, { speaks: ["h2", "http/1.1"] })).toBe("");
    expect(guard.passed).toMatchObject([{ port: service.port, serverName: "", source: undefined }]);
    expect(guard.passed[0]!.early[0]).toBe(22);
    guard.mode = "strict";
    expect(await call(port, { speaks: ["http/1.1"] })).toBe("");
    expect(guard.refusals()).toEqual({ "certificate-required": 1 });
    expect(await call(port, { speaks: ["http/1.1"], shows: web })).toBe("HTTP/1.1 200 OK");
    expect(guard.passed).toHaveLength(1);
  });

  test("roots that are gone, and new ones, count for the next connection alone", async () => {
    const { port, identity, guard } = callee("strict");
    const { socket, received } = await nodeTls(port, {
      ...{ cert: web.chain, key: web.key, ALPNProtocols: ["mesh-http/1.1"] },
    });
    closers.push(() => socket.destroy());
    const next = new CertificateAuthority("Next root");
    const theirs = next.issue({ name: "web", for: [`URI:${idOf("web")}`] });
    expect(await call(port, { shows: theirs })).toBe("");
    believe(identity, [root, next]);
    expect(await call(port, { shows: theirs })).toBe("HTTP/1.1 200 OK");
    expect(await call(port, { shows: web })).toBe("HTTP/1.1 200 OK");
    believe(identity, [next]);
    expect(await call(port, { shows: web })).toBe("");
    expect(guard.refusals()).toEqual({ "certificate-refused": 2 });
    socket.write(ask);
    await until(() => received().includes("200 OK"), "the answer on the old connection");
  });

  withOpenssl.each([["-tls1"], ["-tls1_1"]])("no downgrade: %s", async (flag) => {
    const { port, guard } = callee("strict");
    const flags = [flag, "-cipher", "ALL:@SECLEVEL=0", "-alpn", "mesh-http/1.1"];
    expect(await opensslClient(port, flags)).toContain("SSL alert number 70");
    expect(guard.refusals()).toEqual({ "version-refused": 1 });
  });

  test("no session is resumed: its certificate would not be asked for again", async () => {
    const { port } = callee("strict");
    const options = { cert: web.chain, key: web.key, ALPNProtocols: ["mesh-http/1.1"] };
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const first = await nodeTls(port, { ...options, maxVersion });
      first.socket.write(ask);
      await until(() => first.received().includes("200 OK"), "the answer");
      const session = first.socket.getSession();
      first.socket.destroy();
      const again = await nodeTls(port, { ...options, maxVersion, session });
      expect(again.socket.isSessionReused()).toBe(false);
      again.socket.destroy();
    }
  });
});

interface Server {
  readonly shows: Issued;
}

/** What stands where the sidecar of "svc" should be; answers whoever it can talk to. */
async function impostor({ shows }: Server) {
  const seen: string[] = [];
  const server = createServer(
    {
      ...{ cert: shows.chain, key: shows.key },
      ...{ requestCert: true, rejectUnauthorized: false, ALPNProtocols: ["mesh-http/1.1"] },
    },
    (socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes: Buffer) => {
        seen.push(bytes.toString("latin1"));
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      });
    },
  );
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  return { port: (server.address() as { port: number }).port, seen };
}

function caller(port: number, options: Partial<EngineFixtureOptions> = {}) {
  const identity = member({ authority: root, account: "web" });
  const mesh = new EngineFixture({ endpoints: [port], peer: idOf("svc"), identity, ...options });
  closers.push(() => mesh.close());
  return { mesh, identity };
}

async function answerOf({ port }: EngineFixture): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { host: "svc" } });
  await response.text();
  return `${response.status} ${response.headers.get("x-mesh-reason") ?? ""}`.trim();
}

const svc = `URI:${idOf("svc")}`;
const servers: readonly (readonly [what: string, server: Server])[] = [
  ["expired", { shows: root.issue({ name: "svc", for: [svc], untilMs: Date.now() - 1_000 }) }],
  ["young", { shows: root.issue({ name: "svc", for: [svc], fromMs: Date.now() + HOUR_MS }) }],
  ["of a stranger", { shows: stranger.issue({ name: "svc", for: [svc] }) }],
  ["self-signed", { shows: new CertificateAuthority("svc").selfSigned({ for: [svc] }) }],
  ["another member", { shows: web }],
  [
    "of another trust domain",
    { shows: root.issue({ name: "svc", for: [`URI:${idOf("svc", "other.example")}`] }) },
  ],
  ["of two identities", { shows: root.issue({ name: "svc", for: [svc, `URI:${idOf("web")}`] }) }],
  ["with a URI besides", { shows: root.issue({ name: "svc", for: [svc, "URI:a, b"] }) }],
  ["with a NUL", { shows: root.issue({ name: "svc", for: [`${svc}\0.evil`] }) }],
  ["of a host", { shows: root.issue({ name: "svc", for: ["DNS:svc"] }) }],
];

describe("a server", () => {
  test("that proves to be who is meant is called", async () => {
    const { port, seen } = await impostor({ shows: root.issue({ name: "svc", for: [svc] }) });
    expect(await answerOf(caller(port).mesh)).toBe("200");
    expect(seen[0]).toStartWith("GET / HTTP/1.1");
  });

  test.each(servers)("that is %s is told nothing", async (_, server) => {
    const { port, seen } = await impostor(server);
    for (const meshTransport of [false, true])
      expect(await answerOf(caller(port, { meshTransport }).mesh)).toBe("503 upstream-tls-failure");
    expect(seen).toEqual([]);
  });

  test("in plaintext is no server of that identity", async () => {
    const service = new FakeUpstream({ onConnection: (reply) => reply.send("220 welcome\r\n") });
    closers.push(() => service.close());
    expect(await answerOf(caller(service.port).mesh)).toBe("503 upstream-tls-failure");
    expect(service.requests).toEqual([]);
  });

  withOpenssl("that speaks TLS 1.1 at most is told nothing", async () => {
    const directory = mkdtempSync(join(tmpdir(), "mesh-old-tls-"));
    closers.push(() => rmSync(directory, { recursive: true }));
    const { chain, key } = root.issue({ name: "svc", for: [svc] });
    writeFileSync(join(directory, "both.pem"), chain + key);
    const [port = 0] = freePorts(1);
    const flags = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-cert", join(directory, "both.pem")];
    const command = ["openssl", "s_server", "-accept", String(port), "-quiet", ...flags];
    const server = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
    closers.push(() => server.kill());
    const listens = async (): Promise<boolean> => {
      const probe = await RawClient.connect({ port }).catch(() => undefined);
      probe?.terminate();
      return probe !== undefined;
    };
    while (!(await listens())) await Bun.sleep(5);
    expect(await answerOf(caller(port).mesh)).toBe("503 upstream-tls-failure");
    server.kill();
    expect(await new Response(server.stdout).text()).not.toContain("GET");
  });

  test("of a root that is trusted no more is refused from then on", async () => {
    const { port } = await impostor({ shows: root.issue({ name: "svc", for: [svc] }) });
    const { mesh, identity } = caller(port);
    expect(await answerOf(mesh)).toBe("200");
    believe(identity, [stranger]);
    // The connection that stands goes on.
    expect(await answerOf(mesh)).toBe("200");
    const other = caller(port);
    believe(other.identity, [stranger]);
    expect(await answerOf(other.mesh)).toBe("503 upstream-tls-failure");
  });
});

describe("between two proxies", () => {
  function pair(options: Partial<EngineFixtureOptions> = {}) {
    const far = callee("strict");
    return { far, ...caller(far.port, options) };
  }

  test.each([false, true])("requests pass; the mesh's transport: %s", async (meshTransport) => {
    const { mesh, far } = pair({ meshTransport });
    for (let i = 0; i < 3; i++) expect(await answerOf(mesh)).toBe("200");
    expect(far.guard.refusals()).toEqual({});
    // With the transport one connection, and those inside of it.
    expect(far.service.requests.map(({ field }) => field("host"))).toEqual(["svc", "svc", "svc"]);
  });

  test("new certificates on either side drop nothing", async () => {
    const { mesh, far, identity } = pair({ meshTransport: true });
    expect(await answerOf(mesh)).toBe("200");
    const open = far.mesh.engine.stats().downstreamConnections;
    show(identity, root.issue({ name: "web", for: [`URI:${idOf("web")}`] }));
    show(far.identity, root.issue({ name: "svc", for: [svc] }));
    expect(await answerOf(mesh)).toBe("200");
    expect(far.mesh.engine.stats().downstreamConnections).toBe(open);
  });

  test("a proxy that never had a certificate calls as one outside of the mesh", async () => {
    const { service, port, guard } = callee();
    const { MeshIdentity } = await import("./mesh-identity.ts");
    const identity = new MeshIdentity();
    const { mesh } = caller(port, { identity });
    expect(await answerOf(mesh)).toBe("200");
    guard.mode = "strict";
    expect(await answerOf(caller(port, { identity }).mesh)).toBe("503 upstream-closed");
    mesh.publish({ cluster: { requiresIdentity: true } });
    expect(await answerOf(mesh)).toBe("503 no-identity-of-our-own");
    expect(service.requests).toHaveLength(1);
    believe(identity, [root]);
    show(identity, web);
    expect(await answerOf(mesh)).toBe("200");
  });

  test("where an identity is required, endpoints without one are not called", async () => {
    const { service, port } = callee();
    const { mesh } = caller(port, { peer: "", cluster: { requiresIdentity: true } });
    expect(await answerOf(mesh)).toBe("503 no-upstream-with-identity");
    expect(service.requests).toEqual([]);
    mesh.publish({ cluster: { requiresIdentity: true }, peer: idOf("svc") });
    expect(await answerOf(mesh)).toBe("200");
  });

  test("an endpoint that gets an identity is called by TLS from then on", async () => {
    const { port, guard } = callee();
    const { mesh } = caller(port, { peer: "" });
    expect(await answerOf(mesh)).toBe("200");
    mesh.publish({ peer: idOf("svc") });
    guard.mode = "strict";
    expect(await answerOf(mesh)).toBe("200");
    mesh.publish({ peer: idOf("admin") });
    expect(await answerOf(mesh)).toBe("503 upstream-tls-failure");
  });
});
