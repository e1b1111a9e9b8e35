/**
 * HTTP/1.1 over TLS that ends at the edge: our gateway, with a certificate and rules of an Ingress,
 * beside HAProxy and nginx with one route each; TLS 1.3, one key on P-256, no tickets, connections
 * that stay. The method and the tables are those of h1.ts.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import { freePorts } from "../testing/free-port.ts";
import { type H1Options, reportPeers } from "./h1.ts";
import { launch, meshBinary, nginxConfig, type Peer, startUpstream } from "./peer.ts";

/** wrk names it in its handshakes; it resolves. */
const HOST = "localhost";

interface Certificate {
  readonly directory: string;
  /** Chain and key: two files, and one with both. */
  readonly chain: string;
  readonly key: string;
  readonly both: string;
}

export async function benchEdge(options: H1Options): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const upstream = await startUpstream(directory, freePorts(1)[0]!);
    running.push(upstream);
    const certificate = writeCertificate(directory);
    const peers = await startPeers(directory, { upstream: upstream.port, certificate, options });
    running.push(...peers);
    const url = ({ port }: Peer): string => `https://${HOST}:${port}/`;
    await reportPeers(peers, options, { url, host: HOST });
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** As a secret is mounted, and as HAProxy wants it. */
function writeCertificate(home: string): Certificate {
  const { chain, key } = new CertificateAuthority().issue({ name: HOST, for: [`DNS:${HOST}`] });
  const directory = join(home, "certificates");
  const secret = join(directory, "default", "edge");
  mkdirSync(secret, { recursive: true });
  const written = {
    directory,
    chain: join(secret, "tls.crt"),
    key: join(secret, "tls.key"),
    both: join(home, "edge.pem"),
  };
  writeFileSync(written.chain, chain);
  writeFileSync(written.key, key);
  writeFileSync(written.both, chain + key);
  return written;
}

interface Parts {
  readonly upstream: number;
  readonly certificate: Certificate;
  readonly options: H1Options;
}

async function startPeers(directory: string, parts: Parts): Promise<Peer[]> {
  const { only, former } = parts.options;
  const starters: Record<string, (port: number) => Promise<Peer>> = {
    mesh: (port) => startGateway("mesh", directory, { port, binary: meshBinary, ...parts }),
    ...(former !== "" && {
      former: (port) => startGateway("former", directory, { port, binary: former, ...parts }),
    }),
    haproxy: (port) => startHaproxyEdge(directory, port, parts),
    nginx: (port) => startNginxEdge(directory, port, parts),
  };
  const names = Object.keys(starters).filter((name) => only.length === 0 || only.includes(name));
  const ports = freePorts(names.length);
  const peers: Peer[] = [];
  for (const [i, name] of names.entries()) {
    try {
      peers.push(await starters[name]!(ports[i]!));
    } catch (error) {
      console.log(`${name}: left out: ${error instanceof Error ? error.message : error}`);
    }
  }
  return peers;
}

const edgeRules = (upstream: number): string => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: svc }
spec:
  hosts: [svc.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: ${upstream} }]
  endpoints: [{ address: 127.0.0.1 }]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: edge, annotations: { "kubernetes.io/ingress.class": istio } }
spec:
  tls: [{ hosts: [${HOST}], secretName: edge }]
  rules:
  - host: ${HOST}
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: { service: { name: svc, port: { number: 80 } } }
`;

function startGateway(
  name: string,
  directory: string,
  { port, binary, upstream, certificate }: Parts & { port: number; binary: string },
): Promise<Peer> {
  const rules = join(directory, `${name}.yaml`);
  writeFileSync(rules, edgeRules(upstream));
  const any = "127.0.0.1:0";
  const command = [
    ...[binary, "proxy", "--mode", "gateway", "--standalone", "-f", rules],
    ...["--certificates", certificate.directory, "--https-port", `127.0.0.1:${port}`],
    ...["--http-port", any, "--admin", any, "--readiness", any],
    ...["--state-dir", join(directory, `${name}-state`)],
  ];
  return launch({ name, directory, port, command });
}

function startHaproxyEdge(
  directory: string,
  port: number,
  { upstream, certificate }: Parts,
): Promise<Peer> {
  const config = join(directory, "haproxy.cfg");
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:${port} ssl crt ${certificate.both} no-tls-tickets alpn http/1.1
  default_backend out
backend out
  server s1 127.0.0.1:${upstream}
`,
  );
  return launch({ name: "haproxy", directory, port, command: ["haproxy", "-db", "-f", config] });
}

function startNginxEdge(
  directory: string,
  port: number,
  { upstream, certificate }: Parts,
): Promise<Peer> {
  const home = join(directory, "nginx");
  mkdirSync(home, { recursive: true });
  const proxying = `upstream u { server 127.0.0.1:${upstream}; keepalive 512;
    keepalive_requests 100000000; }
  server { listen 127.0.0.1:${port} ssl backlog=4096;
    ssl_certificate ${certificate.chain}; ssl_certificate_key ${certificate.key};
    ssl_session_tickets off;
    location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; } }`;
  writeFileSync(join(home, "nginx.conf"), nginxConfig(home, proxying));
  const command = ["nginx", "-p", home, "-c", join(home, "nginx.conf")];
  return launch({ name: "nginx", directory: home, port, command, worker: true });
}
