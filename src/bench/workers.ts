/**
 * What more threads cost and give: our proxy with one, two and four of them, on all cores, beside
 * each other. Load and upstream stay on the first core. Memory and descriptors are read when a
 * proxy has settled; processor time is that of all its threads.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { median, memoryMb, type Sample, sample } from "./measure.ts";
import { HOST, type Peer, startMesh, startUpstream } from "./peer.ts";
import { serviceRules } from "./rule-set.ts";

export interface WorkersOptions {
  readonly connections: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

const COUNTS = [1, 2, 4];
/** A proxy gives memory of its start back a little later. */
const SETTLING_MS = 6_000;

export async function benchWorkers(options: WorkersOptions): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const upstream = await startUpstream(directory, freePorts(1)[0]!);
    running.push(upstream);
    const rules = join(directory, "rules");
    mkdirSync(rules);
    writeFileSync(join(rules, "rules.yaml"), serviceRules(upstream.port));
    const proxies: Peer[] = [];
    for (const count of COUNTS) {
      const flags = ["--concurrency", String(count)];
      const [port] = freePorts(1);
      const peer = await startMesh(`workers-${count}`, directory, port!, { rules, flags });
      running.push(peer);
      proxies.push(peer);
      onAllCores(peer.pid);
    }
    await Bun.sleep(SETTLING_MS);
    describe(proxies);
    for (const connections of options.connections) await report(proxies, connections, options);
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function describe(proxies: readonly Peer[]): void {
  console.log("\nidle: resident, of it anonymous MB, descriptors");
  for (const { name, pid } of proxies) {
    const { rss, anonymous } = memoryMb(pid);
    const descriptors = readdirSync(`/proc/${pid}/fd`).length;
    const cells = [rss.toFixed(1), anonymous.toFixed(1), String(descriptors)];
    console.log(`  ${name.padEnd(10)} ${cells.map((cell) => cell.padStart(9)).join(" ")}`);
  }
}

async function report(
  proxies: readonly Peer[],
  connections: number,
  { rounds, seconds }: WorkersOptions,
): Promise<void> {
  const samples = new Map<Peer, Sample[]>(proxies.map((peer) => [peer, []]));
  const run = (peer: Peer, length: number): Promise<Sample> => {
    const url = `http://127.0.0.1:${peer.port}/`;
    return sample(peer.pid, { url, host: HOST, connections, seconds: length });
  };
  for (const peer of proxies) await run(peer, 1);
  for (let round = 0; round < rounds; round++)
    for (const peer of proxies) samples.get(peer)!.push(await run(peer, seconds));
  console.log(`\n${connections} connections: processor µs a request, requests/s, p50, p99 ms`);
  const keys = ["cpuMicros", "perSecond", "p50Ms", "p99Ms", "errors"] as const;
  const of = (peer: Peer, key: keyof Sample): number =>
    median(samples.get(peer)!.map((row) => row[key]));
  for (const peer of proxies) {
    const cells = keys.map((key) => of(peer, key).toFixed(2).padStart(9));
    console.log(`  ${peer.name.padEnd(10)} ${cells.join(" ")}`);
  }
  const [one, ...more] = proxies;
  for (const peer of more) {
    const throughput = of(peer, "perSecond") / of(one!, "perSecond");
    const cost = of(peer, "cpuMicros") / of(one!, "cpuMicros");
    console.log(
      `  ${peer.name} / ${one!.name}: throughput ${throughput.toFixed(2)}, cost ${cost.toFixed(2)}`,
    );
  }
}

/** Every thread of it; a peer is started on the first core. */
function onAllCores(pid: number): void {
  Bun.spawnSync(["taskset", "-a", "-p", "-c", `0-${cpus().length - 1}`, String(pid)]);
}
