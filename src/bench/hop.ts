/**
 * A mesh hop side by side: two of our sidecars between HTTP/1.1 clients and an HTTP/1.1 service,
 * beside two HAProxys and two Envoys in a row, and one nginx. Processor time is that of both.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import type { H1Options } from "./h1.ts";
import { cpuMicros, median, quantile, type Sample, wrk } from "./measure.ts";
import {
  type Peer,
  startEnvoy,
  startHaproxy,
  startMeshPair,
  startNginx,
  startUpstream,
} from "./peer.ts";

/** A path of one or two proxies; requests go to `port` of the first. */
export interface Path {
  readonly name: string;
  readonly port: number;
  readonly host: string;
  readonly peers: readonly Peer[];
}

/** Two proxies of ours compile while they serve, and each sees half of what both are given. */
const WARM_UP_SECONDS = 15;
const WARM_UP_CONNECTIONS = 64;
const isOurs = ({ name }: Path): boolean => name === "mesh" || name === "former";

/** `name`: "near", which clients call, or "far", which calls the upstream. */
export type StartProxy = (name: string, port: number, upstream: number) => Promise<Peer>;

/** Starts paths to the upstream at that port. */
export type StartPaths = (directory: string, upstream: number) => Promise<readonly Path[]>;

/** One run of load through a path. */
export type LoadPath = (
  path: Path,
  connections: number,
  seconds: number,
) => Promise<Omit<Sample, "cpuMicros">>;

const pairs = [
  ["mesh", "haproxy"],
  ["mesh", "envoy"],
  ["mesh", "nginx"],
  ["mesh", "former"],
] as const;

export async function benchHop(options: H1Options): Promise<void> {
  const start: StartPaths = (directory, upstream) => startPaths(directory, upstream, options);
  await benchPaths(options, start, loadH1);
}

export async function benchPaths(
  options: H1Options,
  start: StartPaths,
  load: LoadPath,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const upstream = await startUpstream(directory, freePorts(1)[0]!);
    running.push(upstream);
    const paths = await start(directory, upstream.port);
    running.push(...paths.flatMap(({ peers }) => peers));
    const run = (path: Path, connections: number, seconds: number): Promise<Sample> =>
      measure(load, path, { connections, seconds });
    for (const path of paths)
      await run(path, WARM_UP_CONNECTIONS, isOurs(path) ? WARM_UP_SECONDS : 1);
    for (const connections of options.connections) {
      const samples = await take(paths, connections, options, run);
      report(paths, connections, samples);
    }
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startPaths(
  directory: string,
  upstream: number,
  { only, former }: H1Options,
): Promise<Path[]> {
  const twice = (name: string, start: StartProxy) => startTwice(name, upstream, start);
  const home = (name: string): string => {
    const path = join(directory, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const ours = async (name: string, binary?: string): Promise<Path> => {
    const peers = await startMeshPair(home(name), upstream, binary);
    return { name, port: peers.at(-1)!.port, host: "svc", peers };
  };
  const starters: Record<string, () => Promise<Path>> = {
    mesh: () => ours("mesh"),
    ...(former !== "" && { former: () => ours("former", former) }),
    haproxy: () =>
      twice("haproxy", (at, port, to) => startHaproxy(home(`haproxy-${at}`), port, to)),
    envoy: () => twice("envoy", (at, port, to) => startEnvoy(home(`envoy-${at}`), port, to)),
    nginx: async () => {
      const peer = await startNginx(directory, freePorts(1)[0]!, upstream);
      return { name: "nginx", port: peer.port, host: "svc", peers: [peer] };
    },
  };
  return await startNamed(starters, only);
}

/** Two proxies of one make in a row. */
export async function startTwice(name: string, upstream: number, start: StartProxy): Promise<Path> {
  const [first, second] = freePorts(2);
  const far = await start("far", second!, upstream);
  const near = await start("near", first!, far.port);
  return { name, port: near.port, host: "svc", peers: [far, near] };
}

/** Those that are wanted (empty: all); what cannot be had is left out, visibly. */
export async function startNamed(
  starters: Readonly<Record<string, () => Promise<Path>>>,
  only: readonly string[],
): Promise<Path[]> {
  const paths: Path[] = [];
  for (const [name, start] of Object.entries(starters)) {
    if (only.length > 0 && !only.includes(name)) continue;
    try {
      paths.push(await start());
    } catch (error) {
      console.log(`${name}: left out: ${error instanceof Error ? error.message : error}`);
    }
  }
  return paths;
}

type Samples = ReadonlyMap<string, readonly Sample[]>;

async function take(
  paths: readonly Path[],
  connections: number,
  { rounds, seconds }: H1Options,
  run: (path: Path, connections: number, seconds: number) => Promise<Sample>,
): Promise<Samples> {
  const samples = new Map<string, Sample[]>(paths.map(({ name }) => [name, []]));
  for (const path of paths) await run(path, connections, 1);
  for (let round = 0; round < rounds; round++)
    for (const path of paths) samples.get(path.name)!.push(await run(path, connections, seconds));
  return samples;
}

function report(paths: readonly Path[], connections: number, samples: Samples): void {
  console.log(
    `\n${connections} connections: processor µs a request (both), median and first quartile;`,
    "requests/s; p50, p99 ms; failed",
  );
  const values = (name: string, key: keyof Sample): number[] =>
    (samples.get(name) ?? []).map((row) => row[key]);
  const of = (name: string, key: keyof Sample): number => median(values(name, key));
  const low = (name: string): number => quantile(values(name, "cpuMicros"), 0.25);
  for (const { name } of paths) {
    const others = (["perSecond", "p50Ms", "p99Ms", "errors"] as const).map((key) => of(name, key));
    const numbers = [of(name, "cpuMicros"), low(name), ...others];
    const cells = numbers.map((value) => value.toFixed(2).padStart(9));
    console.log(`  ${name.padEnd(10)} ${cells.join(" ")}`);
  }
  for (const [a, b] of pairs) {
    if (!samples.has(a) || !samples.has(b)) continue;
    const ratio = of(a, "cpuMicros") / of(b, "cpuMicros");
    const quiet = low(a) / low(b);
    console.log(`  ${a} / ${b}: ${ratio.toFixed(2)}, of first quartiles ${quiet.toFixed(2)}`);
  }
}

async function measure(
  load: LoadPath,
  path: Path,
  { connections, seconds }: { readonly connections: number; readonly seconds: number },
): Promise<Sample> {
  const used = (): number =>
    path.peers.reduce((sum, { pid }) => sum + (pid < 0 ? 0 : cpuMicros(pid)), 0);
  const before = used();
  const result = await load(path, connections, seconds);
  return { ...result, cpuMicros: (used() - before) / result.requests };
}

export const loadH1: LoadPath = ({ port, host }, connections, seconds) =>
  wrk({ url: `http://127.0.0.1:${port}/route/9`, host, connections, seconds });
