/**
 * TCP side by side: our proxy with telemetry on, beside HAProxy and nginx (stream) with one backend
 * each, and the floor of any proxy on Bun's sockets. Bulk in both directions, short messages, and
 * connections of one message; interleaved rounds, medians, ratios.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { cpuMicros, geometricMean, median, memoryMb, pinned } from "./measure.ts";
import { launch, type Peer, startMesh, startRelay } from "./peer.ts";
import type { FlowKind, FlowResult } from "./tcp-flow.ts";

export interface TcpOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Names of peers to run; empty: all. */
  readonly only: readonly string[];
}

interface Scenario {
  readonly title: string;
  readonly kind: FlowKind;
  readonly connections: number;
  /** What one is: of processor time a unit, and units a second. */
  readonly unit: string;
  readonly size: number;
}

const MEGABYTE = 1_000_000;
const scenarios: readonly Scenario[] = [
  { title: "bulk to the client", kind: "down", connections: 1, unit: "MB", size: MEGABYTE },
  { title: "bulk to the server", kind: "up", connections: 1, unit: "MB", size: MEGABYTE },
  { title: "bulk to 32 clients", kind: "down", connections: 32, unit: "MB", size: MEGABYTE },
  { title: "messages of 100 B", kind: "echo", connections: 1, unit: "message", size: 1 },
  { title: "messages of 100 B", kind: "echo", connections: 64, unit: "message", size: 1 },
  { title: "new connections", kind: "connect", connections: 16, unit: "connection", size: 1 },
];

interface Measured {
  readonly cpuMicros: number;
  readonly perSecond: number;
}

const flow = join(import.meta.dir, "tcp-flow.ts");

export async function benchTcp(options: TcpOptions): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const [port = 0] = freePorts(1);
    const command = [process.execPath, flow, "serve", String(port)];
    running.push(await launch({ name: "server", directory, port, command }));
    const peers = await startPeers(directory, port, options);
    running.push(...peers);
    await report(peers, options);
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startPeers(
  directory: string,
  upstream: number,
  { only }: TcpOptions,
): Promise<Peer[]> {
  const starters: Readonly<Record<string, (port: number) => Promise<Peer>>> = {
    mesh: (port) => startMeshTcp(directory, port, upstream),
    haproxy: (port) => startHaproxyTcp(directory, port, upstream),
    nginx: (port) => startNginxStream(directory, port, upstream),
    relay: (port) => startRelay(directory, port, upstream),
  };
  const names = Object.keys(starters).filter((name) => only.length === 0 || only.includes(name));
  const ports = freePorts(names.length);
  const peers: Peer[] = [];
  for (const [i, name] of names.entries()) {
    try {
      peers.push({ ...(await starters[name]!(ports[i]!)), name });
    } catch (error) {
      console.log(`${name}: left out: ${error instanceof Error ? error.message : error}`);
    }
  }
  return peers;
}

async function startMeshTcp(directory: string, port: number, upstream: number): Promise<Peer> {
  const rules = join(directory, "rules");
  mkdirSync(rules);
  writeFileSync(
    join(rules, "rules.yaml"),
    `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: flow, namespace: default }
spec:
  hosts: [flow.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 7000, name: tcp, protocol: TCP, targetPort: ${upstream} }]
  endpoints: [{ address: 127.0.0.1 }]
`,
  );
  const [outbound = 0] = freePorts(1);
  const flags = ["--tcp-listen", `127.0.0.1:${port}=flow.default:7000`];
  const peer = await startMesh("mesh", directory, outbound, { rules, flags });
  return { ...peer, port };
}

function startHaproxyTcp(directory: string, port: number, upstream: number): Promise<Peer> {
  const config = join(directory, "haproxy.cfg");
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  server s1 127.0.0.1:${upstream}
`,
  );
  return launch({ name: "haproxy", directory, port, command: ["haproxy", "-db", "-f", config] });
}

function startNginxStream(directory: string, port: number, upstream: number): Promise<Peer> {
  const home = join(directory, "nginx");
  mkdirSync(home, { recursive: true });
  const module = "/usr/lib/nginx/modules/ngx_stream_module.so";
  writeFileSync(
    join(home, "nginx.conf"),
    `load_module ${module};
daemon off; worker_processes 1; pid ${home}/pid; error_log ${home}/error.log;
events { worker_connections 20000; }
stream { server { listen 127.0.0.1:${port} backlog=4096; proxy_pass 127.0.0.1:${upstream}; } }
`,
  );
  const command = ["nginx", "-p", home, "-c", join(home, "nginx.conf")];
  return launch({ name: "nginx", directory: home, port, command, worker: true });
}

async function report(peers: readonly Peer[], options: TcpOptions): Promise<void> {
  const ratios = new Map<string, number[]>();
  for (const scenario of scenarios) {
    const samples = new Map<string, Measured[]>(peers.map((peer) => [peer.name, []]));
    for (const peer of peers) await sample(peer, scenario, 0.5);
    for (let round = 0; round < options.rounds; round++)
      for (const peer of peers)
        samples.get(peer.name)!.push(await sample(peer, scenario, options.seconds));
    printTable(scenario, samples, ratios);
  }
  for (const [pair, values] of ratios)
    console.log(`${pair}: geometric mean ${geometricMean(values).toFixed(2)}`);
  const memory = peers.map((peer) => `${peer.name} ${memoryMb(peer.pid).rss.toFixed(1)}`);
  console.log(`loaded memory, MB: ${memory.join(", ")}`);
}

async function sample(peer: Peer, scenario: Scenario, seconds: number): Promise<Measured> {
  const { kind, connections, size } = scenario;
  const words = [String(peer.port), kind, String(connections), String(seconds)];
  const before = cpuMicros(peer.pid);
  const run = Bun.spawn(pinned([process.execPath, flow, "load", ...words]), { stdout: "pipe" });
  const result = JSON.parse(await new Response(run.stdout).text()) as FlowResult;
  await run.exited;
  const units = result.count / size;
  const used = cpuMicros(peer.pid) - before;
  return { cpuMicros: used / units, perSecond: units / result.seconds };
}

function printTable(
  { title, connections, unit }: Scenario,
  samples: ReadonlyMap<string, readonly Measured[]>,
  ratios: Map<string, number[]>,
): void {
  const of = (name: string, key: keyof Measured): number =>
    median((samples.get(name) ?? []).map((one) => one[key]));
  const columns = `processor µs a ${unit} (min..max), ${unit}s/s`;
  console.log(`\n${title}, ${connections} connections: ${columns}`);
  for (const [name, rows] of samples) {
    const cpu = rows.map((row) => row.cpuMicros);
    const spread = `${Math.min(...cpu).toFixed(1)}..${Math.max(...cpu).toFixed(1)}`;
    const rate = of(name, "perSecond").toFixed(0).padStart(8);
    const used = of(name, "cpuMicros").toFixed(2).padStart(8);
    console.log(`  ${name.padEnd(8)} ${used} (${spread})`.padEnd(38), rate);
  }
  for (const other of samples.keys()) {
    if (other === "mesh" || !samples.has("mesh")) continue;
    const ratio = of("mesh", "cpuMicros") / of(other, "cpuMicros");
    const speed = of("mesh", "perSecond") / of(other, "perSecond");
    const pair = `mesh / ${other}`;
    ratios.set(pair, [...(ratios.get(pair) ?? []), ratio]);
    console.log(`  ${pair.padEnd(18)} ${ratio.toFixed(2)} processor, ${speed.toFixed(2)} speed`);
  }
}
