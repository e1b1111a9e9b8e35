/**
 * HTTP/1.1 side by side: our proxy with 100 services, 200 rules and telemetry on, beside HAProxy,
 * nginx, Envoy and Caddy with one route each; interleaved rounds, medians, ratios.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { geometricMean, median, memoryMb, type Sample, sample, wrk } from "./measure.ts";
import {
  HOST,
  meshBinary,
  type Peer,
  startCaddy,
  startEnvoy,
  startHaproxy,
  startMesh,
  startNginx,
  startRelay,
  startUpstream,
} from "./peer.ts";
import { pathRules, serviceRules } from "./rule-set.ts";

/** A proxy that has started gives memory back a little later. */
const SETTLING_MS = 4_000;

/** Who is compared with whom. */
const pairs: readonly (readonly [string, string])[] = [
  ["mesh", "haproxy"],
  ["mesh", "nginx"],
  ["mesh", "envoy"],
  ["mesh", "caddy"],
  ["mesh", "relay"],
  ["relay", "nginx"],
  ["mesh", "former"],
  ["mesh+log", "mesh"],
  ["mesh/10000", "mesh/10"],
];

export interface H1Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: readonly number[];
  /** Names of peers to run; empty: all. */
  readonly only: readonly string[];
  /** An earlier build of ours, to be the peer `former`; "": none. */
  readonly former: string;
}

export async function benchH1(options: H1Options): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const upstream = await startUpstream(directory, freePorts(1)[0]!);
    running.push(upstream);
    const peers = await startPeers(directory, upstream.port, options);
    running.push(...peers);
    await reportPeers(peers, options, {
      url: ({ port }) => `http://127.0.0.1:${port}/route/9`,
      host: HOST,
    });
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startPeers(
  directory: string,
  upstream: number,
  { only, former }: H1Options,
): Promise<Peer[]> {
  const rules = (name: string, text: string): string => {
    const home = join(directory, `rules-${name}`);
    mkdirSync(home);
    writeFileSync(join(home, "rules.yaml"), text);
    return home;
  };
  const services = rules("services", serviceRules(upstream));
  const log = ["--access-log", join(directory, "access.log")];
  const ours =
    (name: string, flags: readonly string[], binary = meshBinary) =>
    (port: number) =>
      startMesh(name, directory, port, { rules: services, flags, binary });
  const starters: Record<string, (port: number) => Promise<Peer>> = {
    ...(former !== "" && { former: ours("former", [], former) }),
    ...(former !== "" && { "former+log": ours("former+log", log, former) }),
    mesh: ours("mesh", []),
    "mesh+log": ours("mesh+log", log),
    "mesh+json": ours("mesh+json", [...log, "--access-log-encoding", "JSON"]),
    "mesh/10": (port) =>
      startMesh("mesh/10", directory, port, { rules: rules("10", pathRules(upstream, 10)) }),
    "mesh/10000": (port) =>
      startMesh("mesh/10000", directory, port, {
        rules: rules("10k", pathRules(upstream, 10_000)),
      }),
    haproxy: (port) => startHaproxy(directory, port, upstream),
    nginx: (port) => startNginx(directory, port, upstream),
    envoy: (port) => startEnvoy(directory, port, upstream),
    caddy: (port) => startCaddy(directory, port, upstream),
    relay: (port) => startRelay(directory, port, upstream),
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

/** What peers are asked for. */
export interface Target {
  readonly url: (peer: Peer) => string;
  readonly host: string;
}

/** Measures peers in turns, and prints tables and ratios. */
export async function reportPeers(
  peers: readonly Peer[],
  options: H1Options,
  { url, host }: Target,
): Promise<void> {
  await Bun.sleep(SETTLING_MS);
  printMemory("idle", peers);
  const load = (peer: Peer, connections: number, seconds: number) => ({
    url: url(peer),
    host,
    connections,
    seconds,
  });
  for (const peer of peers) await wrk(load(peer, 64, 3));
  const ratios = new Map<string, number[]>();
  for (const connections of options.connections) {
    const samples = new Map<string, Sample[]>(peers.map((peer) => [peer.name, []]));
    for (let round = 0; round < options.rounds; round++)
      for (const peer of peers)
        samples
          .get(peer.name)!
          .push(await sample(peer.pid, load(peer, connections, options.seconds)));
    printTable(connections, samples, ratios);
  }
  for (const [pair, values] of ratios)
    console.log(`${pair}: geometric mean ${geometricMean(values).toFixed(2)}`);
  printMemory("loaded", peers);
}

/** Resident, and how often a peer's fits into the mesh's. */
function printMemory(when: string, peers: readonly Peer[]): void {
  const of = new Map(peers.map((peer) => [peer.name, memoryMb(peer.pid).rss]));
  const mesh = of.get("mesh");
  const parts = [...of].map(([name, mb]) => {
    const ratio = mesh === undefined || name === "mesh" ? "" : ` (${(mesh / mb).toFixed(2)})`;
    return `${name} ${mb.toFixed(1)}${ratio}`;
  });
  console.log(`${when} memory, MB (mesh / it): ${parts.join(", ")}`);
}

function printTable(
  connections: number,
  samples: ReadonlyMap<string, readonly Sample[]>,
  ratios: Map<string, number[]>,
): void {
  const of = (name: string, key: keyof Sample): number => {
    const rows = samples.get(name);
    return rows === undefined ? Number.NaN : median(rows.map((row) => row[key]));
  };
  const columns = "processor µs a request (min..max), requests/s, p50, p99 ms, errors";
  console.log(`\n${connections} connections: ${columns}`);
  for (const [name, rows] of samples) {
    const cpu = rows.map((row) => row.cpuMicros);
    const spread = `${Math.min(...cpu).toFixed(1)}..${Math.max(...cpu).toFixed(1)}`;
    const errors = rows.reduce((sum, row) => sum + row.errors, 0);
    console.log(
      `  ${name.padEnd(11)} ${of(name, "cpuMicros").toFixed(2).padStart(7)} (${spread})`.padEnd(40),
      `${of(name, "perSecond").toFixed(0).padStart(7)} ${of(name, "p50Ms").toFixed(2).padStart(7)}`,
      `${of(name, "p99Ms").toFixed(2).padStart(7)} ${errors}`,
    );
  }
  console.log("  ratios: processor time, requests/s, p50, p99");
  for (const [a, b] of pairs) {
    const ratio = of(a, "cpuMicros") / of(b, "cpuMicros");
    if (Number.isNaN(ratio)) continue;
    const pair = `${a} / ${b}`;
    ratios.set(pair, [...(ratios.get(pair) ?? []), ratio]);
    const others = (["perSecond", "p50Ms", "p99Ms"] as const).map((key) => of(a, key) / of(b, key));
    const columns = [ratio, ...others].map((value) => value.toFixed(2).padStart(6));
    console.log(`  ${pair.padEnd(24)} ${columns.join(" ")}`);
  }
}
