/**
 * What crosses between sidecars is TLS, though nobody has configured it; who proves nothing is
 * refused where that is said; certificates and roots change under load, and nobody notices.
 *
 * MESH_ROTATION_SECONDS: how long they change; ten seconds unless told.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { managerTransport } from "../api/discovery/manager-transport.ts";
import { RegistryService, WorkloadSchema } from "../api/gen/mesh/v1/discovery_pb.ts";
import { IdentityService } from "../api/gen/mesh/v1/identity_pb.ts";
import { createCertificateRequest } from "../io/certificate-request.ts";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import { lacksOpenssl, nodeTls, opensslClient } from "../testing/tls-echo.ts";
import { Load } from "./load.ts";
import {
  get,
  type ManagerPorts,
  managerPorts,
  managerUrl,
  type Sidecar,
  startManager,
  startSidecar,
  untilKnown,
} from "./mesh.ts";
import { installed } from "./peer.ts";
import { anonymousMb, ctl, Stage, until } from "./process.ts";
import { expectStrong, sslscan } from "./tls-scan.ts";
import { Wiretap } from "./wiretap.ts";

setDefaultTimeout(120_000);
const ROTATION_SECONDS = Number(process.env.MESH_ROTATION_SECONDS ?? 10);
const SECRET = "nobody-else-reads-this";
const stage = new Stage();
afterAll(() => stage.close());

let ports: ManagerPorts;
let manager: string;
let callee: Sidecar;
let caller: Sidecar;

/** Short-lived, so that rotation is all the time. */
const lifetime = ["--certificate-lifetime", "2"];

beforeAll(async () => {
  ports = managerPorts();
  await startManager(stage, ports);
  manager = managerUrl(ports);
  const app = stage.application(SECRET);
  callee = await startSidecar(stage, [
    ...["--manager", manager, "--service", "web.default", ...lifetime],
    ...["--app-port", String(app), "--service-port", "8000"],
  ]);
  caller = await startSidecar(stage, [
    ...["--manager", manager, "--service", "client.default", ...lifetime],
  ]);
  await untilKnown(caller, "web");
});

async function metric({ admin }: Sidecar, name: RegExp): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/stats/prometheus`)).text();
  const lines = text.split("\n").filter((line) => name.test(line) && !line.startsWith("#"));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

/** Straight to the callee's inbound port, as one that is outside of the mesh; 0: refused. */
async function plainly(path = "/"): Promise<number> {
  try {
    const url = `http://127.0.0.1:${callee.inbound}${path}`;
    // A connection that stands is not touched.
    return (await fetch(url, { keepalive: false })).status;
  } catch {
    return 0;
  }
}

/** Says what the mesh asks of callers, and waits until the callee does. */
async function ask(mode: "STRICT" | "PERMISSIVE"): Promise<void> {
  const rule = stage.file(
    `${mode}.yaml`,
    `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: ${mode} } }
`,
  );
  const { code, err } = await ctl("apply", "-f", rule, "--manager", manager);
  expect(err).toBe("");
  expect(code).toBe(0);
  const wanted = mode === "STRICT" ? 0 : 200;
  await until(`${mode} to be in force`, async () => (await plainly()) === wanted);
}

test("all that crosses between sidecars is TLS, without a word of configuration", async () => {
  const tap = new Wiretap(callee.inbound);
  try {
    const registry = createClient(RegistryService, managerTransport(manager));
    const workload = create(WorkloadSchema, {
      ...{ id: "tapped-1.default", service: "tapped.default.svc.cluster.local" },
      ...{ namespace: "default", address: "127.0.0.1", port: tap.port, servicePort: 8_000 },
      ...{ protocol: "http", weight: 1, healthy: true, meshTransport: true },
      ...{ mutualTls: true, serviceAccount: "default/web" },
    });
    await registry.register({ workload });
    await untilKnown(caller, "tapped");
    const answer = await get(caller.outbound, "tapped:8000", "/path-of-a-secret", {
      "x-secret": SECRET,
    });
    expect([answer.status, answer.body]).toEqual([200, SECRET]);
    for (const bytes of [tap.sent, tap.received]) {
      const text = Buffer.concat(bytes).toString("latin1");
      expect(text.length).toBeGreaterThan(200);
      // A record of a handshake, TLS 1.x; whatever follows, no word of the exchange.
      expect([text.charCodeAt(0), text.charCodeAt(1)]).toEqual([22, 3]);
      for (const word of [SECRET, "path-of-a-secret", "x-secret", "HTTP", "PRI *"])
        expect(text).not.toContain(word);
    }
    expect(tap.records()).toEqual({ toCallee: true, toCaller: true });
  } finally {
    tap.close();
  }
});

const tshark = installed("tshark");
test.skipIf(tshark.skipped)("tshark sees TLS alone on the port between them", async () => {
  const filter = `tcp port ${callee.inbound} and greater 80`;
  const capture = stage.run([
    ...["tshark", "-i", "lo", "-l", "-f", filter, "-d", `tcp.port==${callee.inbound},tls`],
    ...["-T", "fields", "-e", "_ws.col.Protocol", "-a", "duration:6"],
  ]);
  await until("tshark to listen", () => capture.output().includes("Capturing on"));
  for (let i = 0; i < 20; i++) {
    const { status } = await get(caller.outbound, "web:8000");
    expect(status).toBe(200);
    await Bun.sleep(20);
  }
  await capture.child.exited;
  const seen = capture
    .output()
    .split("\n")
    .map((line) => line.trim());
  const protocols = new Set(seen.filter((line) => /^(TLS|SSL|HTTP|TCP|HTTP2)/.test(line)));
  expect([...protocols].some((one) => one.startsWith("TLSv1"))).toBe(true);
  expect([...protocols].filter((one) => one.startsWith("HTTP"))).toEqual([]);
});

const request = { input: "GET / HTTP/1.1\r\nHost: web\r\n\r\n", expected: "HTTP/1.1 200" };

/** Chain and key of a member of the mesh, in one file. */
async function memberFile(): Promise<string> {
  const { csrPem, keyPem } = await createCertificateRequest("");
  const client = createClient(IdentityService, managerTransport(manager));
  const { chainPem } = await client.issueCertificate({ csrPem, service: "openssl.default" });
  return stage.file("openssl.pem", chainPem + keyPem);
}

/** What openssl prints of a call by a member of the mesh. */
async function byOpenssl(flags: readonly string[], input = request.input): Promise<string> {
  const shown = await memberFile();
  const own = ["-cert", shown, "-key", shown, "-cert_chain", shown, "-alpn", "mesh-http/1.1"];
  return await opensslClient(callee.inbound, [...own, ...flags], { ...request, input });
}

const weak: readonly (readonly [what: string, flags: readonly string[], alert: number])[] = [
  ["TLS 1.0", ["-tls1", "-cipher", "ALL:@SECLEVEL=0"], 70],
  ["TLS 1.1", ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], 70],
  ["a key exchange without forward secrecy", ["-tls1_2", "-cipher", "AES128-GCM-SHA256"], 40],
  ["CBC", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], 40],
  ["CBC with SHA-256", ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"], 40],
  ["no encryption", ["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"], 40],
];
test.skipIf(lacksOpenssl).each(weak)("the inbound port refuses %s", async (_, flags, alert) => {
  const text = await byOpenssl(flags);
  expect(text).not.toContain("\nHTTP/1.1 200");
  // What openssl itself has been built without it does not even try.
  expect(text).toMatch(
    new RegExp(`SSL alert number ${alert}|no cipher match|no ciphers available`),
  );
});

test.skipIf(lacksOpenssl)(
  "it speaks TLS 1.3 and 1.2, without tickets or renegotiation",
  async () => {
    for (const [flag, protocol] of [
      ["-tls1_3", "TLSv1.3"],
      ["-tls1_2", "TLSv1.2"],
    ] as const) {
      const text = await byOpenssl([flag]);
      expect(text).toContain("\nHTTP/1.1 200");
      expect(text).toMatch(new RegExp(`New, ${protocol}, Cipher is \\S*(GCM|CHACHA20)`));
      expect(text).toContain("ALPN protocol: mesh-http/1.1");
      expect(text).toContain("Compression: NONE");
      expect(text).not.toContain("TLS session ticket:");
    }
    // "R" at the beginning of a line asks for a renegotiation.
    expect(await byOpenssl(["-tls1_2"], "R\n")).toContain("SSL alert number 100");
  },
);

test.skipIf(sslscan.skipped)("sslscan finds nothing weak on the inbound port", async () => {
  // It speaks no ALPN of ours; where all is to be mutual TLS, that is no reason to pass it on.
  await ask("STRICT");
  const shown = await memberFile();
  await expectStrong(stage, `127.0.0.1:${callee.inbound}`, [`--certs=${shown}`, `--pk=${shown}`]);
  await ask("PERMISSIVE");
});

test("PERMISSIVE serves both on one port; STRICT refuses plaintext", async () => {
  expect(await plainly()).toBe(200);
  expect((await get(caller.outbound, "web:8000")).status).toBe(200);
  await ask("STRICT");
  for (let i = 0; i < 5; i++) expect((await get(caller.outbound, "web:8000")).status).toBe(200);
  expect(await metric(callee, /handshakes_failed.*reason="not-tls"/)).toBeGreaterThan(0);
  await ask("PERMISSIVE");
  expect((await get(caller.outbound, "web:8000")).status).toBe(200);
  expect(await metric(callee, /^istio_requests_total.*"mutual_tls"/)).toBeGreaterThan(5);
  expect(await metric(callee, /^istio_requests_total.*_policy="none"/)).toBeGreaterThan(0);
});

test(
  "certificates and roots change under load, and not one request fails",
  async () => {
    await ask("STRICT");
    const load = new Load({ port: caller.outbound, host: "web:8000", connections: 16 }).start();
    const renewals = await metric(callee, /^mesh_certificate_renewals_total/);
    const endAt = performance.now() + ROTATION_SECONDS * 1_000;
    const memory = anonymousMb(callee.running.child.pid);
    let roots = 0;
    while (performance.now() < endAt) {
      const { code, err } = await ctl("certs", "rotate", "--after", "500ms", "--manager", manager);
      expect([code, err]).toEqual([0, ""]);
      roots++;
      await Bun.sleep(900);
    }
    const { failures, requests } = await load.stop();
    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(100);
    expect(roots).toBeGreaterThan(2);
    const renewed = (await metric(callee, /^mesh_certificate_renewals_total/)) - renewals;
    expect(renewed).toBeGreaterThan(ROTATION_SECONDS / 2);
    const grown = anonymousMb(callee.running.child.pid) - memory;
    console.log(
      `${roots} roots, ${renewed} leafs, ${requests} requests, ${grown.toFixed(1)} MB more`,
    );
    await ask("PERMISSIVE");
  },
  ROTATION_SECONDS * 1_000 + 60_000,
);

test("ten thousand bad handshakes leave nothing behind, and good clients are served", async () => {
  await ask("STRICT");
  const stranger = new CertificateAuthority("Stranger").issue({ name: "x" });
  const hello = await helloOf();
  const rounds = 10;
  const memory: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const kinds = [Buffer.from("GET / HTTP/1.1\r\n\r\n"), hello.subarray(0, 60), hello, noise()];
    const sockets = await Promise.all(
      Array.from({ length: 960 }, (_, i) => open(callee.inbound, kinds[i % kinds.length]!)),
    );
    const refused = Array.from({ length: 40 }, () =>
      nodeTls(callee.inbound, {
        ...{ cert: stranger.chain, key: stranger.key, ALPNProtocols: ["mesh-http/1.1"] },
      }),
    );
    expect((await get(caller.outbound, "web:8000")).status).toBe(200);
    for (const { socket } of await Promise.all(refused)) socket.destroy();
    for (const socket of sockets) socket.terminate();
    memory.push(anonymousMb(callee.running.child.pid));
  }
  expect((await get(caller.outbound, "web:8000")).status).toBe(200);
  await until("the refusals to be counted", async () => {
    return (await metric(callee, /^mesh_tls_handshakes_failed_total/)) > 5_000;
  });
  // What a leak of one kilobyte a handshake would be.
  expect(memory.at(-1)! - memory[2]!).toBeLessThan(16);
});

/** A ClientHello of a proxy of the mesh. */
async function helloOf(): Promise<Buffer> {
  const taken = Promise.withResolvers<Buffer>();
  const trap = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        taken.resolve(Buffer.from(bytes));
        socket.end();
      },
    },
  });
  await nodeTls(trap.port, { ALPNProtocols: ["mesh-http/1.1"] });
  trap.stop();
  return await taken.promise;
}

function noise(): Buffer {
  const bytes = Buffer.alloc(200);
  crypto.getRandomValues(bytes);
  bytes[0] = 22;
  bytes[1] = 3;
  return bytes;
}

/** Connects, says that, and stays. */
async function open(port: number, bytes: Buffer): Promise<Bun.Socket> {
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: { data() {}, error() {}, close() {} },
  });
  socket.write(bytes);
  return socket;
}
