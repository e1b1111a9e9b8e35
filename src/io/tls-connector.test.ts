/** Outgoing TLS, to servers of ours, node:tls and openssl: whom we trust, and what is said. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type TlsOptions } from "node:tls";
import { systemClock } from "../core/clock.ts";
import { Failures } from "../core/failure.ts";
import { CertificateAuthority, type Issued } from "../testing/certificate-authority.ts";
import { freePorts } from "../testing/free-port.ts";
import { type EchoOptions, lacksOpenssl, TlsEcho, trusting, until } from "../testing/tls-echo.ts";
import { CertificateStore } from "./certificate-store.ts";
import type { TcpSocket } from "./socket.ts";
import { type ConnectCause, failureOf, TcpConnector } from "./tcp-connector.ts";
import { listenTcp } from "./tcp-listener.ts";
import { TimerWheel } from "./timer-wheel.ts";
import type { TlsFacts } from "./tls-facts.ts";
import { ClientTls, type ClientTlsOptions, systemTrust } from "./tls-settings.ts";

const withOpenssl = test.skipIf(lacksOpenssl);
setDefaultTimeout(30_000);
const root = new CertificateAuthority();
const other = new CertificateAuthority("Other root");
const web = root.issue({
  name: "web",
  for: ["DNS:web.example", "DNS:*.web.example", "IP:127.0.0.1"],
});
const workload = root.issue({ name: "b", for: ["URI:spiffe://mesh/ns/a/sa/b"] });
const client = root.issue({ name: "client", for: ["URI:spiffe://mesh/ns/a/sa/client"] });

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});
const home = mkdtempSync(join(tmpdir(), "mesh-tls-client-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

class Outgoing {
  socket: TcpSocket<Outgoing> | undefined = undefined;
  tls: TlsFacts | undefined = undefined;
  failed: ConnectCause | undefined = undefined;
  detail = "";
  text = "";
  ended = false;
  closed = false;
  error: Error | undefined = undefined;

  get settled(): boolean {
    return this.socket !== undefined || this.failed !== undefined;
  }
}

const connector = new TcpConnector<Outgoing>(
  {
    open(socket, tls) {
      socket.data.socket = socket;
      socket.data.tls = tls;
    },
    data(socket, bytes) {
      socket.data.text += Buffer.from(bytes).toString("latin1");
    },
    drain() {},
    end(socket) {
      socket.data.ended = true;
    },
    close(socket, error) {
      socket.data.closed = true;
      socket.data.error = error;
    },
    connectFailed(connection, cause, detail) {
      connection.failed = cause;
      connection.detail = detail;
    },
  },
  new TimerWheel(systemClock),
);

const noUris: ReadonlySet<string> = new Set();
const tlsFor = (options: Partial<ClientTlsOptions> = {}): ClientTls =>
  new ClientTls({
    serverName: "web.example",
    expected: { host: "web.example", uris: noUris },
    roots: trusting(root),
    ...options,
  });

async function connect(port: number, tls?: ClientTls, timeoutMs = 5_000): Promise<Outgoing> {
  const outgoing = new Outgoing();
  connector.connect({ hostname: "127.0.0.1", port, tls }, outgoing, timeoutMs);
  await until(() => outgoing.settled, "the outcome");
  cleanUps.push(() => outgoing.socket?.terminate());
  return outgoing;
}

function echo(certificates: readonly Issued[] = [web], options: EchoOptions = {}): TlsEcho {
  const started = new TlsEcho(certificates, options);
  cleanUps.push(() => started.stop());
  return started;
}

/** Of another make; answers "hello". */
async function nodeServer({ chain, key }: Issued, options: TlsOptions = {}): Promise<number> {
  const server = createServer({ cert: chain, key, ...options }, (socket) => {
    socket.on("error", () => {});
    socket.write("hello");
  });
  server.on("tlsClientError", () => {});
  cleanUps.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function inMemory({ chain, key }: Issued): CertificateStore {
  const store = new CertificateStore();
  const pair = { certificate: { file: "identity", text: chain }, key: { file: "key", text: key } };
  expect(store.set(pair, systemClock.wallMs())).toEqual([]);
  return store;
}

test("a connection over TLS is one like any other, with facts beside it", async () => {
  const server = echo([web], { tls: { protocols: ["h2", "http/1.1"] } });
  const outgoing = await connect(server.port, tlsFor({ protocols: ["h2"] }));
  expect(outgoing.tls).toMatchObject({
    version: "TLSv1.3",
    protocol: "h2",
    serverName: "web.example",
    peer: { verified: true, subject: "CN=web" },
  });
  await until(() => server.last !== undefined, "the server");
  expect(server.last!.tls).toMatchObject({ protocol: "h2", serverName: "web.example" });
  outgoing.socket!.write(Buffer.from("hello"), 0, 5);
  await until(() => outgoing.text === "hello", "the echo");
  expect(outgoing.socket!.remotePort).toBe(server.port);
  expect(outgoing.socket!.fd).toBeGreaterThan(2);
  outgoing.socket!.end();
  await until(() => outgoing.closed && server.last!.closed, "the end");
  expect(outgoing.error).toBeUndefined();
});

test("TLS and plain connections of one connector keep out of each other's way", async () => {
  const server = echo([web], { acceptor: { plaintext: "accept" } });
  const all: Outgoing[] = [];
  for (let i = 0; i < 6; i++)
    all.push(await connect(server.port, i % 2 ? tlsFor() : undefined)).toString();
  for (const { socket } of all) socket!.write(Buffer.from("abc"), 0, 3);
  await until(() => all.every(({ text }) => text === "abc"), "the echoes");
  expect(all.map(({ tls }) => tls !== undefined)).toEqual([false, true, false, true, false, true]);
});

test.each([
  ["web.example", true],
  ["x.web.example", true],
  ["WEB.example", true],
  ["x.y.web.example", false],
  ["example", false],
  ["127.0.0.1", true],
  ["127.0.0.2", false],
])(
  "a server with a certificate for web.example, *.web.example and 127.0.0.1 is %s: %j",
  async (host, is) => {
    const server = echo();
    const outgoing = await connect(
      server.port,
      tlsFor({ serverName: host, expected: { host, uris: noUris } }),
    );
    if (is) expect(outgoing.failed).toBeUndefined();
    else expect([outgoing.failed, outgoing.detail]).toEqual(["tls-wrong-identity", "CN=web"]);
    const isAddress = host.startsWith("127.");
    await until(() => server.connections.length + server.refusals.length > 0, "the server");
    if (is) expect(server.last!.tls!.serverName).toBe(isAddress ? "" : host.toLowerCase());
  },
);

test.each([
  ["the accepted one", ["spiffe://mesh/ns/a/sa/b"], undefined],
  ["one of many", ["spiffe://mesh/ns/x/sa/y", "spiffe://mesh/ns/a/sa/b"], undefined],
  ["another", ["spiffe://mesh/ns/a/sa/admin"], "tls-wrong-identity"],
  ["nobody", [], "tls-wrong-identity"],
] as const)("a workload whose SPIFFE id is %s", async (_what, uris, failed) => {
  const server = echo([workload]);
  const expected = { host: "", uris: new Set<string>(uris) };
  const outgoing = await connect(server.port, tlsFor({ serverName: "", expected }));
  expect(outgoing.failed).toBe(failed);
});

const strange = other.issue({ name: "web", for: ["DNS:web.example"] });
const expired = root.issue({ name: "web", for: ["DNS:web.example"], untilMs: Date.now() - 1_000 });

test.each([
  ["of a stranger", strange, "web.example", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  ["of a stranger, for another name", strange, "a.example", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  ["expired", expired, "web.example", "CERT_HAS_EXPIRED"],
  ["expired, for another name", expired, "a.example", "CERT_HAS_EXPIRED"],
])("a certificate %s is not trusted", async (_what, issued, host, detail) => {
  const server = echo([issued === expired ? web : issued]);
  // Our own store would refuse it.
  const port = issued === expired ? await nodeServer(expired) : server.port;
  const tls = tlsFor({ serverName: host, expected: { host, uris: noUris } });
  const outgoing = await connect(port, tls);
  expect([outgoing.failed, outgoing.detail]).toEqual(["tls-untrusted", detail]);
  expect(failureOf(outgoing.failed!)).toBe(Failures.upstreamTls);
});

test("anybody is anybody, and the facts say how it is", async () => {
  const server = echo([strange]);
  const outgoing = await connect(server.port, tlsFor({ expected: "anybody" }));
  expect(outgoing.tls!.peer).toMatchObject({
    verified: false,
    verdict: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  });
});

test("without roots nobody is trusted, the web's least of all", async () => {
  const outgoing = await connect(echo().port, tlsFor({ roots: { trust: undefined } }));
  expect([outgoing.failed, outgoing.detail]).toEqual([
    "tls-untrusted",
    "there are no roots to trust",
  ]);
});

test("the system's roots are there, and do not vouch for ours", async () => {
  const roots = systemTrust();
  expect(roots.trust!.count).toBeGreaterThan(50);
  expect((await connect(echo().port, tlsFor({ roots }))).failed).toBe("tls-untrusted");
});

test("mutual TLS: the server sees our certificate, and its next one after a change", async () => {
  const server = echo([web], {
    tls: { clientCertificate: "required", clientRoots: trusting(root) },
  });
  const certificates = inMemory(client);
  const tls = tlsFor({ certificates });
  await connect(server.port, tls);
  await until(() => server.connections.length === 1, "the first");
  expect(server.last!.tls!.peer!.names.uris).toEqual(["spiffe://mesh/ns/a/sa/client"]);
  const next = root.issue({ name: "next" });
  const pair = { certificate: { file: "i", text: next.chain }, key: { file: "k", text: next.key } };
  certificates.set(pair, systemClock.wallMs());
  await connect(server.port, tls);
  await until(() => server.connections.length === 2, "the second");
  expect(server.last!.tls!.peer!.subject).toBe("CN=next");
  expect(server.connections[0]!.closed).toBe(false);
});

test.each([["1.2"], ["1.3"]] as const)(
  "a server that wants a certificate, and gets none, in TLS %s",
  async (maximumVersion) => {
    const server = echo([web], {
      tls: { clientCertificate: "required", clientRoots: trusting(root) },
    });
    const outgoing = await connect(server.port, tlsFor({ maximumVersion }));
    if (maximumVersion === "1.2") {
      expect(outgoing.failed).toBe("tls-failed");
      expect(outgoing.detail).toStartWith("refused-by-peer: ");
    } else {
      // In TLS 1.3 the client is done before the server has looked.
      await until(() => outgoing.closed, "the end");
      expect(outgoing.error?.message).toContain("CERTIFICATE_REQUIRED");
    }
    expect(server.connections).toEqual([]);
  },
);

test("an impostor does not get to see our certificate", async () => {
  const seen: unknown[] = [];
  const server = echo([strange], {
    tls: { clientCertificate: "reported", clientRoots: trusting(root) },
    handlers: { open: (_socket, tls) => seen.push(tls) },
  });
  const outgoing = await connect(server.port, tlsFor({ certificates: inMemory(client) }));
  expect(outgoing.failed).toBe("tls-untrusted");
  await until(() => server.refusals.length === 1, "the server's end of it");
  expect(seen).toEqual([]);
});

test("what is no TLS, an old version, no common protocol: each says so", async () => {
  const plain = listenTcp<undefined>(
    { hostname: "127.0.0.1", port: 0 },
    {
      open() {},
      data(socket) {
        const answer = Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n");
        socket.write(answer, 0, answer.length);
        socket.end();
      },
      drain() {},
      end() {},
      close() {},
    },
  );
  cleanUps.push(() => plain.stop());
  const toPlain = await connect(plain.port, tlsFor());
  expect([toPlain.failed, toPlain.detail]).toEqual([
    "tls-failed",
    "protocol-error: WRONG_VERSION_NUMBER",
  ]);
  const old = echo([web], { tls: { maximumVersion: "1.2" } });
  const toOld = await connect(old.port, tlsFor({ minimumVersion: "1.3" }));
  expect([toOld.failed, toOld.detail]).toEqual([
    "tls-failed",
    "version-refused: TLSV1_ALERT_PROTOCOL_VERSION",
  ]);
  const h1 = echo([web], { tls: { protocols: ["http/1.1"] } });
  const toH1 = await connect(h1.port, tlsFor({ protocols: ["h2"] }));
  expect([toH1.failed, toH1.detail]).toEqual([
    "tls-failed",
    "no-common-protocol: TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
  ]);
});

/** Accepts and does what it is told with the first bytes. */
function mute(react: (socket: TcpSocket<undefined>) => void) {
  const opened: TcpSocket<undefined>[] = [];
  const listener = listenTcp<undefined>(
    { hostname: "127.0.0.1", port: 0 },
    {
      open: (socket) => opened.push(socket),
      data: react,
      drain() {},
      end() {},
      close() {},
    },
  );
  cleanUps.push(() => {
    listener.stop();
    for (const socket of opened) socket.terminate();
  });
  return { port: listener.port, opened };
}

test("a server that says nothing: the connect's time limit covers the handshake", async () => {
  const outgoing = await connect(mute(() => {}).port, tlsFor(), 50);
  expect([outgoing.failed, outgoing.closed]).toEqual(["timeout", false]);
  expect(failureOf(outgoing.failed!)).toBe(Failures.connectTimeout);
});

test("a server that resets or ends in the handshake", async () => {
  const reset = await connect(mute((socket) => socket.terminate()).port, tlsFor());
  expect(reset.failed).toBe("reset");
  const ended = await connect(mute((socket) => socket.end()).port, tlsFor());
  expect([ended.failed, ended.detail]).toEqual([
    "tls-failed",
    expect.stringMatching(/^closed-by-peer: /),
  ]);
});

test("a connect cancelled in its handshake calls nobody and closes its socket", async () => {
  const server = mute(() => {});
  const outgoing = new Outgoing();
  const target = { hostname: "127.0.0.1", port: server.port, tls: tlsFor() };
  const attempt = connector.connect(target, outgoing, 5_000);
  await until(() => server.opened.length === 1, "TCP");
  await Bun.sleep(10);
  attempt.cancel();
  await until(
    () => server.opened[0]!.fd === -1 || server.opened[0]!.write(Buffer.of(1), 0, 1) < 0,
    "the close",
  );
  expect([outgoing.settled, outgoing.closed]).toEqual([false, false]);
});

withOpenssl("openssl s_server: TLS 1.2, a renegotiation is not taken part in", async () => {
  writeFileSync(join(home, "crt"), web.chain);
  writeFileSync(join(home, "key"), web.key);
  const [port = 0] = freePorts(1);
  const files = ["-cert", join(home, "crt"), "-key", join(home, "key")];
  const run = Bun.spawn(
    ["openssl", "s_server", "-accept", `127.0.0.1:${port}`, "-tls1_2", ...files],
    {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    },
  );
  cleanUps.push(() => run.kill());
  for await (const bytes of run.stdout) if (Buffer.from(bytes).includes("ACCEPT")) break;
  const outgoing = await connect(port, tlsFor());
  expect(outgoing.tls!.version).toBe("TLSv1.2");
  run.stdin.write("R\n");
  run.stdin.flush();
  await until(() => outgoing.closed, "the end");
  expect(outgoing.error?.message).toContain("NO_RENEGOTIATION");
});
