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
interface Path {
  readonly name: string;
  readonly port: number;
  readonly host: string;
  readonly peers: readonly Peer[];
}

/** Two proxies of ours compile while they serve, and each sees half of what both are given. */
const WARM_UP_SECONDS = 15;
const WARM_UP_CONNECTIONS = 64;
const isOurs = ({ name }: Path): boolean => name === "mesh" || name === "former";

type Start = (name: string, port: number, upstream: number) => Promise<Peer>;

const pairs = [
  ["mesh", "haproxy"],
  ["mesh", "envoy"],
  ["mesh", "nginx"],
  ["mesh", "former"],
] as const;

export async function benchHop(options: H1Options): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const upstream = await startUpstream(directory, freePorts(1)[0]!);
    running.push(upstream);
    const paths = await startPaths(directory, upstream.port, options);
    running.push(...paths.flatMap(({ peers }) => peers));
    for (const path of paths)
      await measure(path, WARM_UP_CONNECTIONS, isOurs(path) ? WARM_UP_SECONDS : 1);
    for (const connections of options.connections) await report(paths, connections, options);
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
  const twice = async (name: string, start: Start): Promise<Path> => {
    const [first, second] = freePorts(2);
    const far = await start("far", second!, upstream);
    const near = await start("near", first!, far.port);
    return { name, port: near.port, host: "svc", peers: [far, near] };
  };
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

async function report(
  paths: readonly Path[],
  connections: number,
  { rounds, seconds }: H1Options,
): Promise<void> {
  const samples = new Map<string, Sample[]>(paths.map(({ name }) => [name, []]));
  for (const path of paths) await measure(path, connections, 1);
  for (let round = 0; round < rounds; round++)
    for (const path of paths)
      samples.get(path.name)!.push(await measure(path, connections, seconds));
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

async function measure(path: Path, connections: number, seconds: number): Promise<Sample> {
  const used = (): number =>
    path.peers.reduce((sum, { pid }) => sum + (pid < 0 ? 0 : cpuMicros(pid)), 0);
  const before = used();
  const url = `http://127.0.0.1:${path.port}/route/9`;
  const result = await wrk({ url, host: path.host, connections, seconds });
  return { ...result, cpuMicros: (used() - before) / result.requests };
}
