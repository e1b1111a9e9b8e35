/** TLS on accepted connections, with openssl and node:tls at the other end. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateAuthority, type Issued } from "../testing/certificate-authority.ts";
import { RawClient } from "../testing/raw-client.ts";
import {
  type EchoOptions,
  lacksOpenssl,
  nodeTls,
  opensslClient,
  TlsEcho,
  trusting,
  until,
} from "../testing/tls-echo.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { TimerWheel } from "./timer-wheel.ts";

const withOpenssl = test.skipIf(lacksOpenssl);
setDefaultTimeout(30_000);
const root = new CertificateAuthority();
const middle = new CertificateAuthority("Middle", root);
const web = middle.issue({ name: "web", for: ["DNS:web.example", "DNS:*.web.example"] });
const shop = root.issue({ name: "shop", for: ["DNS:shop.example"] });
const client = root.issue({ name: "client", for: ["URI:spiffe://mesh/ns/a/sa/client"] });
const stranger = new CertificateAuthority("Strange root").issue({ name: "stranger" });

const home = mkdtempSync(join(tmpdir(), "mesh-tls-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));
const caFile = join(home, "ca.pem");
writeFileSync(caFile, root.certificate);

/** Flags for openssl to show a certificate. */
function showing(name: string, { chain, key }: Issued): string[] {
  writeFileSync(join(home, `${name}.crt`), chain);
  writeFileSync(join(home, `${name}.key`), key);
  return ["-cert", join(home, `${name}.crt`), "-key", join(home, `${name}.key`)];
}

const running: TlsEcho[] = [];
afterEach(() => {
  for (const echo of running.splice(0)) echo.stop();
});

function echo(options: EchoOptions = {}, certificates: readonly Issued[] = [web, shop]): TlsEcho {
  const started = new TlsEcho(certificates, options);
  running.push(started);
  return started;
}

const required: EchoOptions = {
  tls: { clientCertificate: "required", clientRoots: trusting(root) },
};

withOpenssl("openssl verifies our chain, and what it types comes back", async () => {
  const server = echo();
  const text = await opensslClient(server.port, [
    ...["-CAfile", caFile, "-servername", "web.example", "-verify_hostname", "web.example"],
    ...["-verify_return_error", "-alpn", "h2"],
  ]);
  expect(text).toContain("Verify return code: 0 (ok)");
  expect(text).toContain("\nhello");
  expect(server.last!.tls).toEqual({
    version: "TLSv1.3",
    cipher: "TLS_AES_256_GCM_SHA384",
    protocol: "",
    serverName: "web.example",
    peer: undefined,
  });
  await until(() => server.last!.closed, "the end");
  expect(server.last!.error).toBeUndefined();
  expect(server.acceptor.handshakes).toBe(0);
});

test.each([
  ["web.example", "CN=web"],
  ["x.web.example", "CN=web"],
  ["shop.example", "CN=shop"],
  ["SHOP.example", "CN=shop"],
  ["unknown.example", "CN=web"],
  ["", "CN=web"],
])("a client that asks for %j is shown %s", async (servername, subject) => {
  const server = echo();
  const { socket } = await nodeTls(server.port, { servername });
  expect(socket.getPeerX509Certificate()?.subject).toBe(subject);
  await until(() => server.last !== undefined, "the connection");
  expect(server.last!.tls!.serverName).toBe(servername.toLowerCase());
  socket.destroy();
});

withOpenssl.each([["unknown.example"], [""]])(
  "where unknown names are refused, %j gets the alert unrecognized_name",
  async (name) => {
    const server = echo({ tls: { unknownName: "refuse" } });
    const flags = name === "" ? ["-noservername"] : ["-servername", name];
    expect(await opensslClient(server.port, flags)).toContain("SSL alert number 112");
    expect(server.refusals).toEqual([["unknown-server-name", name]]);
    expect(server.connections).toEqual([]);
  },
);

withOpenssl("without a certificate to show a client is told internal_error", async () => {
  const server = echo({}, []);
  expect(await opensslClient(server.port, [])).toContain("SSL alert number 80");
  expect(server.refusals).toEqual([["no-certificate", ""]]);
});

test.each([
  [["h2", "http/1.1"], ["http/1.1", "h2"], "h2"],
  [["http/1.1"], ["h2", "http/1.1"], "http/1.1"],
  [["h2"], [], ""],
  [[], ["h2"], ""],
])("ALPN: we speak %j, the client %j: agreed on %j", async (ours, theirs, agreed) => {
  const server = echo({ tls: { protocols: ours } });
  const { socket } = await nodeTls(server.port, { ALPNProtocols: theirs });
  await until(() => server.last !== undefined, "the connection");
  expect(server.last!.tls!.protocol).toBe(agreed);
  expect(socket.alpnProtocol || "").toBe(agreed);
  socket.destroy();
});

withOpenssl("no common protocol: the alert no_application_protocol", async () => {
  const server = echo({ tls: { protocols: ["h2"] } });
  expect(await opensslClient(server.port, ["-alpn", "spdy/3"])).toContain("SSL alert number 120");
  expect(server.refusals).toEqual([["no-common-protocol", "NO_APPLICATION_PROTOCOL"]]);
});

withOpenssl.each([["-tls1"], ["-tls1_1"]])("TLS 1.0 and 1.1 are refused: %s", async (flag) => {
  const server = echo();
  const text = await opensslClient(server.port, [flag, "-cipher", "ALL:@SECLEVEL=0"]);
  expect(text).toContain("SSL alert number 70");
  expect(server.refusals).toEqual([["version-refused", "UNSUPPORTED_PROTOCOL"]]);
});

withOpenssl("the lowest and the highest version can be set", async () => {
  const modern = echo({ tls: { minimumVersion: "1.3" } });
  expect(await opensslClient(modern.port, ["-tls1_2"])).toContain("SSL alert number 70");
  const old = echo({ tls: { maximumVersion: "1.2" } });
  expect(await opensslClient(old.port, [])).toContain("Protocol  : TLSv1.2");
  expect(old.last!.tls).toMatchObject({
    version: "TLSv1.2",
    cipher: "ECDHE-ECDSA-AES256-GCM-SHA384",
  });
});

withOpenssl.each([["AES128-GCM-SHA256"], ["ECDHE-ECDSA-AES128-SHA"], ["AES256-SHA"]])(
  "of TLS 1.2 only forward secrecy and AEAD are spoken, not %s",
  async (cipher) => {
    const server = echo();
    const text = await opensslClient(server.port, ["-tls1_2", "-cipher", cipher]);
    expect(text).toContain("SSL alert number 40");
    expect(server.refusals.map(([fault]) => fault)).toEqual(["no-common-cipher"]);
  },
);

withOpenssl("renegotiation is refused", async () => {
  const server = echo();
  const text = await opensslClient(server.port, ["-tls1_2"], { input: "R\n", expected: "never" });
  expect(text).toContain("SSL alert number 100");
  await until(() => server.last!.closed, "the end");
  // No orderly end: the owner must not take what came for all that was to come.
  expect(server.last!.error?.message).toContain("NO_RENEGOTIATION");
});

withOpenssl("no tickets: nothing can be resumed, by ticket or by session id", async () => {
  const server = echo(required);
  const held = await nodeTls(server.port, { cert: client.chain, key: client.key });
  const session = join(home, "session");
  const flags = showing("client", client);
  for (const version of ["-tls1_2", "-tls1_3"]) {
    writeFileSync(session, "");
    await opensslClient(server.port, [version, ...flags, "-sess_out", session]);
    const isSaved = (await Bun.file(session).text()) !== "";
    const again = await opensslClient(server.port, [
      ...[version, ...flags],
      ...(isSaved ? ["-sess_in", session] : []),
    ]);
    expect(again).toContain("\nNew, TLS");
    expect(again).not.toContain("Reused");
    expect(again).not.toContain("TLS session ticket:");
  }
  held.socket.destroy();
});

test("a client certificate that is required and good: its facts are known", async () => {
  const server = echo(required);
  const { socket } = await nodeTls(server.port, { cert: client.chain, key: client.key });
  await until(() => server.last !== undefined, "the connection");
  expect(server.last!.tls!.peer).toMatchObject({
    verified: true,
    verdict: "",
    subject: "CN=client",
    names: { dns: [], uris: ["spiffe://mesh/ns/a/sa/client"], addresses: [] },
  });
  expect(server.last!.tls!.peer!.sha256).toMatch(/^[0-9a-f]{64}$/);
  socket.destroy();
});

withOpenssl(
  "a required client certificate is missing: the alert certificate_required",
  async () => {
    const server = echo(required);
    expect(await opensslClient(server.port, [])).toContain("SSL alert number 116");
    expect(server.refusals).toEqual([
      ["certificate-required", "PEER_DID_NOT_RETURN_A_CERTIFICATE"],
    ]);
    expect(server.connections).toEqual([]);
  },
);

const expired = root.issue({ name: "old", untilMs: Date.now() - 1_000 });
const tomorrow = root.issue({ name: "young", fromMs: Date.now() + 3_600_000 });

withOpenssl.each([
  ["of a stranger", stranger, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  ["expired", expired, "CERT_HAS_EXPIRED"],
  ["of tomorrow", tomorrow, "CERT_NOT_YET_VALID"],
])("a client certificate %s: refused where required or optional", async (_what, bad, verdict) => {
  for (const clientCertificate of ["required", "optional"] as const) {
    const server = echo({ tls: { clientCertificate, clientRoots: trusting(root) } });
    await opensslClient(server.port, showing("bad", bad));
    await until(() => server.refusals.length > 0, "the refusal");
    expect(server.refusals).toEqual([["certificate-refused", verdict]]);
    expect(server.connections).toEqual([]);
  }
});

test("a bad client certificate that is only reported is the owner's to judge", async () => {
  const server = echo({ tls: { clientCertificate: "reported", clientRoots: trusting(root) } });
  const { socket } = await nodeTls(server.port, { cert: expired.chain, key: expired.key });
  await until(() => server.last !== undefined, "the connection");
  expect(server.last!.tls!.peer).toMatchObject({ verified: false, verdict: "CERT_HAS_EXPIRED" });
  socket.destroy();
});

test.each([["optional"], ["reported"]] as const)(
  "a client certificate that is %s may be missing",
  async (clientCertificate) => {
    const server = echo({ tls: { clientCertificate, clientRoots: trusting(root) } });
    const { socket } = await nodeTls(server.port);
    await until(() => server.last !== undefined, "the connection");
    expect(server.last!.tls!.peer).toBeUndefined();
    socket.destroy();
  },
);

withOpenssl("clients to be verified and no roots: nobody gets in", async () => {
  const server = echo({ tls: { clientCertificate: "required" } });
  expect(await opensslClient(server.port, [])).toContain("SSL alert number 80");
  expect(server.refusals).toEqual([["no-certificate", "no roots for clients"]]);
});

test("new roots are those of the next connection", async () => {
  const other = new CertificateAuthority("Other root");
  const theirs = other.issue({ name: "theirs" });
  const clientRoots = { trust: trusting(root).trust };
  const server = echo({ tls: { clientCertificate: "required", clientRoots } });
  const options = { cert: theirs.chain, key: theirs.key };
  await nodeTls(server.port, options);
  await until(() => server.refusals.length === 1, "the refusal");
  clientRoots.trust = trusting(root, other).trust;
  const { socket } = await nodeTls(server.port, options);
  await until(() => server.last !== undefined, "the connection");
  expect(server.last!.tls!.peer!.subject).toBe("CN=theirs");
  socket.destroy();
});

test("plaintext on a port for TLS alone is refused", async () => {
  const server = echo();
  const peer = await RawClient.connect({ port: server.port });
  peer.send("GET / HTTP/1.1\r\n\r\n");
  expect(await peer.untilEnd()).toBe("");
  expect(server.refusals).toEqual([["not-tls", ""]]);
});

test("garbage instead of a ClientHello: an alert, and a word for the log", async () => {
  const server = echo();
  for (const [hex, alert, fault] of [
    ["1603010005 0100 0001 ff", "\x15\x03\x03\x00\x02\x02\x32", "malformed-hello"],
    ["1603010004 01ffffff", "\x15\x03\x03\x00\x02\x02\x32", "hello-too-long"],
    ["16030141000100", "", "not-tls"],
    ["8080010301", "", "not-tls"],
  ] as const) {
    const peer = await RawClient.connect({ port: server.port });
    peer.send(Buffer.from(hex.replaceAll(" ", ""), "hex"));
    expect(await peer.untilEnd()).toBe(alert);
    expect(server.refusals.pop()).toEqual([fault, ""]);
  }
  expect(server.acceptor.handshakes).toBe(0);
});

/** A real ClientHello, as bytes. */
async function hello(): Promise<Uint8Array> {
  const taken = Promise.withResolvers<Uint8Array>();
  const trap = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        taken.resolve(new Uint8Array(bytes));
        socket.end();
      },
    },
  });
  await nodeTls(trap.port, { servername: "web.example" });
  trap.stop();
  return taken.promise;
}

test("a peer that resets, ends or talks nonsense in its handshake is told as such", async () => {
  const server = echo();
  const bytes = await hello();
  const cases: readonly (readonly [
    sent: Uint8Array,
    act: (p: RawClient) => void,
    fault: string,
  ])[] = [
    [bytes, (peer) => peer.terminate(), "closed-by-peer"],
    [bytes, (peer) => peer.shutdown(), "closed-by-peer"],
    [bytes.subarray(0, 100), (peer) => peer.terminate(), "closed-by-peer"],
    [bytes.subarray(0, 100), (peer) => peer.shutdown(), "closed-by-peer"],
    [bytes, (peer) => peer.send("nonsense"), "protocol-error"],
  ];
  for (const [sent, act, fault] of cases) {
    const peer = await RawClient.connect({ port: server.port });
    peer.send(sent);
    if (sent.length === bytes.length) await peer.until(() => peer.bytesReceived > 0, "our flight");
    else await until(() => server.acceptor.handshakes === 1, "the connection");
    act(peer);
    await until(() => server.refusals.length > 0, `the refusal: ${fault}`);
    expect(server.refusals.splice(0)[0]![0]).toBe(fault as never);
    peer.terminate();
  }
  expect(server.acceptor.handshakes).toBe(0);
  expect(server.connections).toEqual([]);
});

test("a health check that connects and goes is not worth a word", async () => {
  const server = echo();
  const peer = await RawClient.connect({ port: server.port });
  await until(() => server.acceptor.handshakes === 1, "the connection");
  peer.close();
  await until(() => server.acceptor.handshakes === 0, "the end");
  expect(server.refusals).toEqual([]);
});

test("a hello that comes byte by byte is a hello", async () => {
  const server = echo();
  const bytes = await hello();
  const peer = await RawClient.connect({ port: server.port });
  for (const byte of bytes) {
    peer.send(Uint8Array.of(byte));
    await Bun.sleep(0);
  }
  await peer.until(() => peer.bytesReceived > 500, "our flight");
  expect(peer.received.charCodeAt(0)).toBe(22);
  peer.terminate();
});

test("1,000 half-open handshakes: no more than the limit, and each ends at its time", async () => {
  const clock = new VirtualClock();
  const server = echo({
    acceptor: { timers: new TimerWheel(clock), handshakesMax: 600, handshakeTimeoutMs: 10_000 },
  });
  const bytes = await hello();
  const peers = await Promise.all(
    Array.from({ length: 1_000 }, async (_, i) => {
      const peer = await RawClient.connect({ port: server.port });
      // Silent ones, those in the middle of a hello, and those that do not answer our flight.
      if (i % 3 === 1) peer.send(bytes.subarray(0, 50));
      if (i % 3 === 2) peer.send(bytes);
      return peer;
    }),
  );
  await until(() => server.refusals.length === 400, "400 to be refused");
  expect(server.acceptor.handshakes).toBe(600);
  expect(server.refusals.every(([fault]) => fault === "too-many-handshakes")).toBe(true);
  clock.advance(9_000);
  expect(server.acceptor.handshakes).toBe(600);
  clock.advance(1_100);
  expect(server.acceptor.handshakes).toBe(0);
  await until(() => peers.every((peer) => peer.ended), "everybody to be closed");
  expect(server.refusals.slice(400).every(([fault]) => fault === "handshake-timeout")).toBe(true);
  expect(server.refusals).toHaveLength(1_000);
  expect(clock.waiting).toBe(0);
  // There is room again.
  const { socket, error } = await nodeTls(server.port);
  expect(error).toBeUndefined();
  socket.destroy();
});

test("a certificate swap while 100 connections live: none is dropped", async () => {
  const server = echo();
  const peers = await Promise.all(
    Array.from({ length: 100 }, () => nodeTls(server.port, { servername: "web.example" })),
  );
  const next = root.issue({ name: "next", for: ["DNS:web.example"] });
  server.show([next]);
  for (const { socket } of peers) socket.write("still here");
  await until(() => peers.every(({ received }) => received() === "still here"), "all the echoes");
  expect(server.connections.every(({ closed }) => !closed)).toBe(true);
  const { socket } = await nodeTls(server.port, { servername: "web.example" });
  expect(socket.getPeerX509Certificate()?.subject).toBe("CN=next");
  for (const peer of [...peers, { socket }]) peer.socket.destroy();
});

const permissive = (clock = new VirtualClock()): EchoOptions => ({
  acceptor: { plaintext: "accept", sniffTimeoutMs: 1_000, timers: new TimerWheel(clock) },
});

withOpenssl("PERMISSIVE: TLS and plaintext on one port, told by the first bytes", async () => {
  const server = echo(permissive());
  const peer = await RawClient.connect({ port: server.port });
  peer.send("GET / HTTP/1.1\r\n\r\n");
  expect(await peer.take("\r\n\r\n")).toBe("GET / HTTP/1.1\r\n\r\n");
  expect(server.last!.tls).toBeUndefined();
  expect(server.acceptor.handshakes).toBe(0);
  peer.send("more");
  expect(await peer.take("more")).toBe("more");
  peer.shutdown();
  await until(() => server.last!.closed, "the end");
  expect(await opensslClient(server.port, [])).toContain("\nhello");
  expect(server.last!.tls!.version).toBe("TLSv1.3");
});

test("PERMISSIVE: a client that waits for the server to speak is plaintext", async () => {
  const clock = new VirtualClock();
  const server = echo(permissive(clock));
  const peer = await RawClient.connect({ port: server.port });
  await until(() => server.acceptor.handshakes === 1, "the connection");
  clock.advance(900);
  expect(server.connections).toHaveLength(0);
  clock.advance(200);
  expect(server.last!.tls).toBeUndefined();
  server.last!.socket.write(Buffer.from("220 mail"), 0, 8);
  expect(await peer.take("mail")).toBe("220 mail");
  // Late TLS is somebody else's.
  peer.send(await hello());
  await until(() => server.last!.received > 100, "the bytes");
  peer.close();
});

test("PERMISSIVE: half a hello has the time of a handshake, not of the first byte", async () => {
  const clock = new VirtualClock();
  const server = echo(permissive(clock));
  const peer = await RawClient.connect({ port: server.port });
  await until(() => server.acceptor.handshakes === 1, "the connection");
  clock.advance(900);
  peer.send((await hello()).subarray(0, 50));
  // By the time that another handshake is done these bytes were read.
  const other = await nodeTls(server.port);
  await until(() => server.last !== undefined, "the other");
  other.socket.destroy();
  clock.advance(9_900);
  expect(server.acceptor.handshakes).toBe(1);
  clock.advance(200);
  await until(() => peer.ended, "the end");
  expect(server.refusals).toEqual([["handshake-timeout", ""]]);
});

test("an owner that closes a plaintext connection in open hears no bytes", async () => {
  const seen: number[] = [];
  const server = echo({
    ...permissive(),
    handlers: {
      open: (socket) => socket.terminate(),
      data: (_socket, bytes) => seen.push(bytes.length),
      close: () => seen.push(-1),
    },
  });
  const peer = await RawClient.connect({ port: server.port });
  peer.send("GET /");
  await peer.untilEnd();
  expect(seen).toEqual([-1]);
});
