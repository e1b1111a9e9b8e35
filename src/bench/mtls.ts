/**
 * A mesh hop over mutual TLS: two of our sidecars, whose certificates are the manager's, beside two
 * HAProxys and two Envoys that verify each other; the caller speaks HTTP/1.1 or HTTP/2, and so does
 * what is inside of TLS. Processor time is that of both. Then what a handshake costs the sidecar
 * that is called.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { managerTransport } from "../api/discovery/manager-transport.ts";
import { IdentityService } from "../api/gen/mesh/v1/identity_pb.ts";
import { createCertificateRequest } from "../io/certificate-request.ts";
import { encodeProtocols } from "../io/tls-settings.ts";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import type { H1Options } from "./h1.ts";
import { readH2load } from "./h2.ts";
import {
  benchPaths,
  type LoadPath,
  loadH1,
  type Path,
  type StartPaths,
  startNamed,
  startTwice,
} from "./hop.ts";
import { cpuMicros, pinned } from "./measure.ts";
import { envoyCommand, envoyConfig, launch, type MeshPairPorts, startMeshPair } from "./peer.ts";

/** Of a core, for the sidecar that is called. */
const HANDSHAKES_MIN = 800;
const HANDSHAKES = 2_000;
const STREAMS = 10;

type Version = "http/1.1" | "h2";

/** True: handshakes are as cheap as they have to be. */
export async function benchMtls(options: H1Options): Promise<boolean> {
  let perSecond = Number.POSITIVE_INFINITY;
  for (const version of versionsOf(options)) {
    console.log(`\nmutual TLS between two proxies, ${version}:`);
    const pair: MeshPairPorts = { secure: true };
    const start = startPaths(version, options, pair, async (path) => {
      if (version === "h2") return;
      perSecond = await handshakesPerSecond(path, pair);
      console.log(`  ${perSecond.toFixed(0)} handshakes a second of a core, at the far sidecar`);
    });
    await benchPaths(options, start, version === "h2" ? loadH2 : loadH1);
  }
  return perSecond >= HANDSHAKES_MIN;
}

/** Those among the names of peers to run, or both. */
function versionsOf({ only }: H1Options): readonly Version[] {
  const both: readonly Version[] = ["http/1.1", "h2"];
  const named = both.filter((version) => only.includes(version));
  return named.length === 0 ? both : named;
}

const loadH2: LoadPath = async ({ port, host }, connections, seconds) => {
  const counts = ["-t1", `-c${connections}`, `-m${STREAMS}`, "-D", String(seconds)];
  const command = ["h2load", ...counts, "-H", `:authority: ${host}`];
  const url = `http://127.0.0.1:${port}/route/9`;
  const child = Bun.spawn(pinned([...command, url]), { stdout: "pipe", stderr: "ignore" });
  const text = await new Response(child.stdout).text();
  const { requests, perSecond, failed } = readH2load(text);
  // It says no quantiles.
  return { requests, perSecond, errors: failed, p50Ms: Number.NaN, p99Ms: Number.NaN };
};

interface Files {
  readonly root: string;
  /** Chain and key in one. */
  readonly both: string;
}

/** Of proxies that are not ours. */
function writeFiles(directory: string): Files {
  const authority = new CertificateAuthority();
  const { chain, key } = authority.issue({
    name: "svc",
    for: ["DNS:svc", "URI:spiffe://cluster.local/ns/default/sa/svc"],
  });
  const files = { root: join(directory, "root.pem"), both: join(directory, "both.pem") };
  writeFileSync(files.root, authority.certificate);
  writeFileSync(files.both, chain + key);
  return files;
}

function startPaths(
  version: Version,
  options: H1Options,
  pair: MeshPairPorts,
  started: (path: Path) => Promise<void>,
): StartPaths {
  return async (directory, upstream) => {
    const files = writeFiles(directory);
    const home = (name: string): string => {
      const path = join(directory, name);
      mkdirSync(path, { recursive: true });
      return path;
    };
    const ours = async (name: string, binary?: string): Promise<Path> => {
      const ports = name === "mesh" ? pair : { secure: true };
      const peers = await startMeshPair(home(name), upstream, binary, ports);
      const path = { name, port: peers.at(-1)!.port, host: "svc", peers };
      await verifyMutual(path, ports);
      if (name === "mesh") await started(path);
      return path;
    };
    const { former } = options;
    const only = options.only.filter((name) => name !== "http/1.1" && name !== "h2");
    const parts = { files, version };
    return await startNamed(
      {
        mesh: () => ours("mesh"),
        ...(former !== "" && { former: () => ours("former", former) }),
        haproxy: () =>
          startTwice("haproxy", upstream, (at, port, to) =>
            startHaproxy(home(`haproxy-${at}`), { at, port, to, ...parts }),
          ),
        envoy: () =>
          startTwice("envoy", upstream, (at, port, to) =>
            startEnvoy(home(`envoy-${at}`), { at, port, to, ...parts }),
          ),
      },
      only,
    );
  };
}

/** What is measured is what it is called: the far sidecar has had the caller's identity proved. */
async function verifyMutual({ port, host }: Path, { admin }: MeshPairPorts): Promise<void> {
  for (let i = 0; i < 10; i++) await fetch(`http://127.0.0.1:${port}/`, { headers: { host } });
  const metrics = await (await fetch(`http://127.0.0.1:${admin}/stats/prometheus`)).text();
  if (!/^istio_requests_total\{[^}]*"mutual_tls"/m.test(metrics))
    throw new Error("the sidecars do not speak mutual TLS");
}

interface Proxy {
  readonly at: string;
  readonly port: number;
  readonly to: number;
  readonly files: Files;
  readonly version: Version;
}

function startHaproxy(directory: string, { at, port, to, files, version }: Proxy) {
  const { root, both } = files;
  const inside = `ssl crt ${both} ca-file ${root} verify required alpn ${version}`;
  const outside = version === "h2" ? "proto h2" : "";
  const bind = at === "far" ? `${inside} no-tls-tickets` : outside;
  const server = at === "far" ? "" : `${inside} verifyhost svc`;
  const config = join(directory, "haproxy.cfg");
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn 4000
  tune.h2.max-concurrent-streams 1000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:${port} ${bind}
  default_backend out
backend out
  server s1 127.0.0.1:${to} ${server}
`,
  );
  return launch({ name: "haproxy", directory, port, command: ["haproxy", "-db", "-f", config] });
}

function startEnvoy(directory: string, { at, port, to, files, version }: Proxy) {
  const { root, both } = files;
  const isFar = at === "far";
  const common = {
    alpn_protocols: [version],
    tls_certificates: [{ certificate_chain: { filename: both }, private_key: { filename: both } }],
    validation_context: {
      trusted_ca: { filename: root },
      match_typed_subject_alt_names: [
        { san_type: "URI", matcher: { prefix: "spiffe://cluster.local/" } },
      ],
    },
  };
  const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
  const socket = (kind: string, more: object) => ({
    name: "envoy.transport_sockets.tls",
    typed_config: { "@type": `${type}.${kind}`, common_tls_context: common, ...more },
  });
  const config = envoyConfig(port, to, !isFar && version === "h2", {
    ...(isFar && {
      downstream: socket("DownstreamTlsContext", {
        require_client_certificate: true,
        disable_stateless_session_resumption: true,
      }),
    }),
    ...(!isFar && { upstream: socket("UpstreamTlsContext", {}) }),
  });
  const file = join(directory, "envoy.json");
  writeFileSync(file, JSON.stringify(config));
  return launch({ name: "envoy", directory, port, command: envoyCommand(file) });
}

/** Connections one after another, each with a request, and processor time of the far sidecar. */
async function handshakesPerSecond({ peers }: Path, { api }: MeshPairPorts): Promise<number> {
  const [far] = peers;
  const client = createClient(IdentityService, managerTransport(`http://127.0.0.1:${api}`));
  const { csrPem, keyPem } = await createCertificateRequest("");
  const { chainPem } = await client.issueCertificate({ csrPem, service: "bench.default" });
  const tls = {
    key: keyPem,
    cert: chainPem,
    rejectUnauthorized: false,
    ALPNProtocols: encodeProtocols(["mesh-http/1.1"]),
  };
  const run = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const answered = Promise.withResolvers<void>();
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port: far!.port,
        tls,
        socket: {
          open() {},
          handshake: (ready) => void ready.write("GET / HTTP/1.1\r\nHost: svc\r\n\r\n"),
          data: () => answered.resolve(),
          close: () => answered.reject(new Error("it was refused")),
        },
      });
      await answered.promise;
      socket.end();
    }
  };
  await run(500);
  const before = cpuMicros(far!.pid);
  await run(HANDSHAKES);
  return (HANDSHAKES * 1e6) / (cpuMicros(far!.pid) - before);
}
