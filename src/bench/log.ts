/**
 * What an access log adds to a request: one running proxy whose log is switched on and off under
 * one load, so that memory, connections and compiled code are the same on both sides.
 *
 *   load held ▶ log switched ▶ load let go (a slice) ▶ load held, all answered, log flushed ▶ …
 *
 * Processor times (all threads) and the upstream's count of requests are read while the load is
 * held, when nothing is under way. The machine's pace differs from second to second, and load and
 * upstream, which do the same in every slice, feel it as the proxy does: the proxy's time is taken
 * as a multiple of theirs. Each slice with a log is compared with the mean of the two beside it.
 */
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { cpuMicros, median, quantile, readWrk, spawnWrk } from "./measure.ts";
import { COUNT_PATH, HOST, meshBinary, type Peer, startMesh, startUpstream } from "./peer.ts";
import { serviceRules } from "./rule-set.ts";

export interface LogOptions {
  /** Slices with a log, for each count of connections. */
  readonly rounds: number;
  /** Of a slice. */
  readonly seconds: number;
  readonly connections: readonly number[];
  /** Formats: text, json; empty: both. */
  readonly only: readonly string[];
  /** An earlier build, measured in turn with this one; "": none. */
  readonly former: string;
}

/** The last answers, and the log's lines, which are written within 100 ms. */
const DRAIN_MS = 160;
/** After a switch: the former configuration is let go. */
const SETTLE_MS = 50;
const SWITCH_TRIES = 1_000;
/** Until the engine has compiled what it will compile: most of it at the first load. */
const WARM_UP_ROUNDS = 2;
const FIRST_WARM_UP_ROUNDS = 12;
/** Of the slices, how many are quicker than the pace of a machine without neighbours. */
const QUIET = 0.1;
const FOR_EVER_SECONDS = 86_400;

/** One proxy and the log that it can be told to write. */
interface Subject {
  readonly name: string;
  readonly peer: Peer;
  readonly rules: string;
  readonly logPath: string;
  readonly encoding: "TEXT" | "JSON";
}

type Wrk = ReturnType<typeof spawnWrk>;

export async function benchLog(options: LogOptions): Promise<void> {
  const { only, former } = options;
  for (const encoding of ["TEXT", "JSON"] as const) {
    if (only.length > 0 && !only.includes(encoding.toLowerCase())) continue;
    const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
    const running: Peer[] = [];
    try {
      const upstream = await startUpstream(directory, freePorts(1)[0]!);
      running.push(upstream);
      const builds = { ...(former !== "" && { former }), mesh: meshBinary };
      const subjects: Subject[] = [];
      for (const [name, binary] of Object.entries(builds)) {
        const subject = await startSubject(name, binary, { directory, encoding, upstream });
        running.push(subject.peer);
        subjects.push(subject);
      }
      await report(subjects, upstream, options);
    } finally {
      for (const peer of running.reverse()) await peer.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  }
}

async function startSubject(
  name: string,
  binary: string,
  place: {
    readonly directory: string;
    readonly encoding: "TEXT" | "JSON";
    readonly upstream: Peer;
  },
): Promise<Subject> {
  const { directory, encoding, upstream } = place;
  const rules = join(directory, `rules-${name}`);
  mkdirSync(rules);
  await Bun.write(join(rules, "rules.yaml"), serviceRules(upstream.port));
  const logPath = join(directory, `${name}.log`);
  const [port] = freePorts(1);
  const peer = await startMesh(name, directory, port!, { rules, binary });
  return { name, peer, rules, logPath, encoding };
}

/** The load must be held: a switch compiles the configuration anew. */
async function switchLog(subject: Subject, on: boolean): Promise<void> {
  const { rules, logPath, encoding, peer } = subject;
  const accessLogFile = on ? logPath : "";
  const settings = JSON.stringify({ accessLogFile, accessLogEncoding: encoding });
  await Bun.write(join(rules, "mesh-config.yaml"), settings);
  for (let tries = 0; hasOpen(peer.pid, logPath) !== on; tries++) {
    if (tries === SWITCH_TRIES) throw new Error(`${subject.name}: the log was not switched`);
    await Bun.sleep(10);
  }
  // What a slice writes is not kept: the file's memory is used again, as on a host that is not new.
  if (on) truncateSync(logPath);
  await Bun.sleep(SETTLE_MS);
}

/** Asks the kernel, so that the proxy has no work from the question. */
function hasOpen(pid: number, path: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === path;
    } catch {
      return false;
    }
  });
}

/** Processor time for one request. */
interface Cost {
  readonly proxy: number;
  /** Of load and upstream together. */
  readonly others: number;
}

/** Lets the load run for a while. */
async function slice({ peer }: Subject, upstream: Peer, wrk: Wrk, seconds: number): Promise<Cost> {
  const others = (): number => cpuMicros(upstream.pid) + cpuMicros(wrk.pid);
  const requests = await requestCount(upstream);
  const before = { proxy: cpuMicros(peer.pid), others: others() };
  wrk.kill("SIGCONT");
  await Bun.sleep(seconds * 1_000);
  wrk.kill("SIGSTOP");
  await Bun.sleep(DRAIN_MS);
  const after = { proxy: cpuMicros(peer.pid), others: others() };
  // The question itself is one.
  const count = (await requestCount(upstream)) - requests - 1;
  return {
    proxy: (after.proxy - before.proxy) / count,
    others: (after.others - before.others) / count,
  };
}

async function requestCount(upstream: Peer): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${upstream.port}${COUNT_PATH}`);
  return Number(/^\s*\d+ \d+ (\d+)/m.exec(await answer.text())![1]);
}

async function report(
  subjects: readonly Subject[],
  upstream: Peer,
  options: LogOptions,
): Promise<void> {
  const { encoding } = subjects[0]!;
  console.log(
    `\n${encoding}: what the log adds to a request's processor time, quartiles: in percent,`,
  );
  console.log("  in µs at the pace of the quietest tenth of the slices, in µs at the median pace");
  for (const [i, connections] of options.connections.entries()) {
    const loads = new Map<Subject, Wrk>();
    try {
      for (const subject of subjects) loads.set(subject, await heldLoad(subject, connections));
      const warmUp = i === 0 ? FIRST_WARM_UP_ROUNDS : WARM_UP_ROUNDS;
      await compare(loads, upstream, { ...options, rounds: warmUp });
      const results = await compare(loads, upstream, options);
      for (const [{ name }, costs] of results) printRow(name, connections, costs);
    } finally {
      for (const wrk of loads.values()) await endLoad(wrk);
    }
  }
}

/** wrk with its connections open, stopped. */
async function heldLoad({ peer }: Subject, connections: number): Promise<Wrk> {
  const url = `http://127.0.0.1:${peer.port}/route/9`;
  const wrk = spawnWrk({ url, host: HOST, connections, seconds: FOR_EVER_SECONDS });
  await Bun.sleep(500);
  wrk.kill("SIGSTOP");
  await Bun.sleep(DRAIN_MS);
  return wrk;
}

async function endLoad(wrk: Wrk): Promise<void> {
  wrk.kill("SIGCONT");
  // Only wrk's main thread ends for it, and the kernel may give it to the other.
  const interrupting = setInterval(() => wrk.kill("SIGINT"), 100);
  const { errors } = await readWrk(wrk.stdout);
  clearInterval(interrupting);
  if (errors > 0) console.log(`  wrk counts ${errors} errors; time-outs are of the pauses`);
}

/** The costs of slices without, with, without, with, …, without. */
async function compare(
  loads: ReadonlyMap<Subject, Wrk>,
  upstream: Peer,
  { rounds, seconds }: LogOptions,
): Promise<Map<Subject, Cost[]>> {
  const costs = new Map<Subject, Cost[]>();
  for (const [subject, wrk] of loads)
    costs.set(subject, [await slice(subject, upstream, wrk, seconds)]);
  for (let round = 0; round < rounds; round++)
    for (const [subject, wrk] of loads)
      for (const on of [true, false]) {
        await switchLog(subject, on);
        costs.get(subject)!.push(await slice(subject, upstream, wrk, seconds));
      }
  return costs;
}

/** Each slice with a log, beside the mean of its neighbours: 0.1 is a tenth more. */
function added(values: readonly number[]): number[] {
  return values.flatMap((value, i) =>
    i % 2 === 1 ? [(2 * value) / (values[i - 1]! + values[i + 1]!) - 1] : [],
  );
}

function printRow(name: string, connections: number, costs: readonly Cost[]): void {
  const ofOthers = costs.map(({ proxy, others }) => proxy / others);
  const without = median(ofOthers.filter((_, i) => i % 2 === 0));
  const at = (share: number): number => without * quantile(paces(costs), share);
  const shares = added(ofOthers);
  const quartiles = [0.25, 0.5, 0.75].map((share) => quantile(shares, share));
  const micros = (by: number): string => quartiles.map((share) => signed(share * by)).join(" ");
  const columns = [
    `${connections} connections, ${name}`.padEnd(24),
    quartiles.map((share) => `${signed(share * 100)} %`).join(" "),
    ` of ${at(QUIET).toFixed(2)}: ${micros(at(QUIET))}`,
    ` of ${at(0.5).toFixed(2)}: ${micros(at(0.5))}`,
    ` others ${signed(100 * median(added(paces(costs))))} %`,
  ];
  console.log(`  ${columns.join(" ")}`);
}

/** What load and upstream took for a request, slice by slice. */
function paces(costs: readonly Cost[]): number[] {
  return costs.map(({ others }) => others);
}

function signed(micros: number): string {
  return `${micros < 0 ? "" : "+"}${micros.toFixed(2)}`;
}
