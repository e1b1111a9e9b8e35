/**
 * Latency below the knee: requests at fixed rates that every proxy can bear, whether or not the
 * earlier ones were answered, each counted from the time it was due. HTTP/1.1 and HTTP/2 without
 * TLS; ours has 100 services, 200 rules and telemetry on, the peers one route each. Proxy and
 * upstream share one core, the client polls on the other. Interleaved rounds, medians of each
 * round's quantiles; of rounds in which other programs had the cores, none are judged by.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import type { H1Options } from "./h1.ts";
import { cpuMicros, median } from "./measure.ts";
import type { PacedResult } from "./paced-client.ts";
import {
  HOST,
  meshBinary,
  type Peer,
  startEnvoy,
  startHaproxy,
  startMesh,
  startNginx,
  startUpstream,
} from "./peer.ts";
import {
  startHaproxyH2,
  startNghttpd,
  startNghttpx,
  startNginxH2,
  type UpstreamVersion,
} from "./peer-h2.ts";
import { serviceRules } from "./rule-set.ts";

/** Requests a second. */
const RATES = [1_000, 5_000] as const;
const CONNECTIONS = 32;
/** Ours compiles what is hot while it serves; measured before that, it is the compiler's time. */
const WARM_UP = { rate: 5_000, ourSeconds: 25, seconds: 1 } as const;
/** How much slower than the best peer ours may be in the slowest hundredth. */
const ALLOWED_MS = 0.2;
/** Beyond either a round is disturbed: how late the client is, what others had of the core. */
const LATE_MS = 0.2;
const OTHERS_SHARE = 0.1;
/** Of /proc/stat. */
const TICKS_A_SECOND = 100;

interface Sample extends PacedResult {
  /** What neither the proxy nor the upstream used of their core, and was used. */
  readonly othersShare: number;
}

type Starters = Readonly<Record<string, (port: number) => Promise<Peer>>>;

export async function benchOpenLoop(options: H1Options): Promise<void> {
  for (const version of ["http1", "http2"] as const) await run(version, options);
}

async function run(version: UpstreamVersion, options: H1Options): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const at = freePorts(1)[0]!;
    const isHttp2 = version === "http2";
    const upstream = await (isHttp2 ? startNghttpd(directory, at) : startUpstream(directory, at));
    running.push(upstream);
    const rules = join(directory, "rules");
    mkdirSync(rules);
    writeFileSync(join(rules, "rules.yaml"), serviceRules(at, version));
    const ours: Starters = {
      mesh: (port) => startMesh("mesh", directory, port, { rules, binary: meshBinary }),
      ...(options.former !== "" && {
        former: (port) => startMesh("former", directory, port, { rules, binary: options.former }),
      }),
    };
    const others = isHttp2 ? http2Peers(directory, at) : http1Peers(directory, at);
    const proxies = await start({ ...ours, ...others }, options.only, running);
    await report({ version, upstream, proxies }, options);
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function http1Peers(directory: string, upstream: number): Starters {
  return {
    haproxy: (port) => startHaproxy(directory, port, upstream),
    nginx: (port) => startNginx(directory, port, upstream),
    envoy: (port) => startEnvoy(directory, port, upstream),
  };
}

function http2Peers(directory: string, upstream: number): Starters {
  return {
    haproxy: (port) => startHaproxyH2(directory, port, upstream, "http2"),
    nginx: (port) => startNginxH2(directory, port, upstream, "http2"),
    nghttpx: (port) => startNghttpx(directory, port, upstream, "http2"),
    envoy: (port) => startEnvoy(directory, port, upstream, true),
  };
}

/** Those that `only` names, or all; each is put into `running` as soon as it runs. */
async function start(
  starters: Starters,
  only: readonly string[],
  running: Peer[],
): Promise<Peer[]> {
  const started: Peer[] = [];
  for (const [name, starter] of Object.entries(starters)) {
    if (only.length > 0 && !only.includes(name)) continue;
    try {
      const peer = { ...(await starter(freePorts(1)[0]!)), name };
      started.push(peer);
      running.push(peer);
    } catch (error) {
      console.log(`${name}: left out: ${error instanceof Error ? error.message : error}`);
    }
  }
  return started;
}

interface Suite {
  readonly version: UpstreamVersion;
  readonly upstream: Peer;
  readonly proxies: readonly Peer[];
}

async function report(suite: Suite, options: H1Options): Promise<void> {
  const { version, upstream, proxies } = suite;
  for (const { name, port } of proxies) {
    const isOurs = name === "mesh" || name === "former";
    const seconds = isOurs ? WARM_UP.ourSeconds : WARM_UP.seconds;
    await load(version, port, WARM_UP.rate, seconds);
  }
  for (const rate of RATES) {
    const samples = new Map<string, Sample[]>(proxies.map(({ name }) => [name, []]));
    for (let round = 0; round < options.rounds; round++)
      for (const proxy of proxies) {
        const run = () => load(version, proxy.port, rate, options.seconds);
        samples.get(proxy.name)!.push(await beside([proxy.pid, upstream.pid], run));
      }
    printTable(`${version}, ${rate} requests/s on ${CONNECTIONS} connections`, samples);
    printVerdict(samples);
  }
}

/** A run, and what processes besides those named used of the measured core meanwhile. */
async function beside(pids: readonly number[], run: () => Promise<PacedResult>): Promise<Sample> {
  const ours = (): number => pids.reduce((sum, pid) => sum + cpuMicros(pid), 0);
  const others = (): number => busyMicros() - ours();
  const [start, before] = [performance.now(), others()];
  const result = await run();
  const share = (others() - before) / 1_000 / (performance.now() - start);
  return { ...result, othersShare: Math.max(0, share) };
}

/** Of core 0 since the machine started: all but idle and waiting for disks (proc(5)). */
function busyMicros(): number {
  const line = /^cpu0 (.*)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? "";
  const [user, nice, system, , , ...interrupts] = line.split(" ").slice(0, 8).map(Number);
  const ticks = [user!, nice!, system!, ...interrupts].reduce((sum, value) => sum + value, 0);
  return (ticks * 1e6) / TICKS_A_SECOND;
}

function isQuiet({ lateP99Ms, othersShare }: Sample): boolean {
  return lateP99Ms <= LATE_MS && othersShare <= OTHERS_SHARE;
}

/** The quiet rounds, or all if there are none. */
function judged(rows: readonly Sample[]): readonly Sample[] {
  const quiet = rows.filter(isQuiet);
  return quiet.length > 0 ? quiet : rows;
}

function printTable(title: string, samples: ReadonlyMap<string, readonly Sample[]>): void {
  const columns = "p50, p99 (min..max), p99.9 ms; failed; quiet rounds";
  console.log(`\n${title}: ${columns}; client: p99 late ms, processor; others on the core`);
  for (const [name, all] of samples) {
    const rows = judged(all);
    const of = (key: Exclude<keyof Sample, "failure">): number =>
      median(rows.map((row) => row[key]));
    const p99 = rows.map((row) => row.p99Ms);
    const spread = `(${Math.min(...p99).toFixed(2)}..${Math.max(...p99).toFixed(2)})`;
    const failed = all.reduce((sum, row) => sum + row.failed, 0);
    console.log(
      `  ${name.padEnd(8)} ${milliseconds(of("p50Ms"))} ${milliseconds(of("p99Ms"))}`,
      `${spread.padEnd(16)} ${milliseconds(of("p999Ms"))} ${String(failed).padStart(6)}`,
      `${all.filter(isQuiet).length}/${all.length} ${milliseconds(of("lateP99Ms"))}`,
      `${percent(of("share"))} ${percent(of("othersShare"))}`,
    );
    for (const { failed, failure } of all) if (failed > 0) console.log(`    ${failed} ${failure}`);
  }
}

function printVerdict(samples: ReadonlyMap<string, readonly Sample[]>): void {
  const p99 = (name: string): number => median(judged(samples.get(name)!).map((r) => r.p99Ms));
  const peers = [...samples.keys()].filter((name) => name !== "mesh" && name !== "former");
  const best = peers.sort((a, b) => p99(a) - p99(b))[0];
  if (best === undefined || !samples.has("mesh")) return;
  const [mine, theirs] = [p99("mesh"), p99(best)];
  const isWithin = mine <= theirs + ALLOWED_MS;
  const isJudged = [...samples.values()].every((rows) => rows.some(isQuiet));
  console.log(
    `  p99: mesh ${mine.toFixed(2)} ms, the best peer (${best}) ${theirs.toFixed(2)} ms:`,
    isJudged ? `${isWithin ? "within" : "NOT within"} ${ALLOWED_MS} ms` : "no verdict,",
    isJudged ? `(${(mine - theirs).toFixed(2)})` : "since not every proxy had a quiet round",
  );
}

function milliseconds(value: number): string {
  return value.toFixed(3).padStart(7);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)}%`.padStart(4);
}

/** One run of the client, on the core where the proxies are not, before others there. */
async function load(
  version: UpstreamVersion,
  port: number,
  rate: number,
  seconds: number,
): Promise<PacedResult> {
  const script = join(import.meta.dir, "paced-client.ts");
  const path = version === "http2" ? "/answer" : "/route/9";
  const args = [version, port, HOST, path, rate, seconds, CONNECTIONS].map(String);
  const place = ["nice", "-n", "-10", "taskset", "-c", "1"];
  const child = Bun.spawn([...place, process.execPath, script, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error("the paced client failed");
  return JSON.parse(text) as PacedResult;
}
