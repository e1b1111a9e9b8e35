/**
 * Endurance: two sidecars and a manager at half of what they can carry, requests at a fixed rate
 * (HTTP/1.1, HTTP/2 and gRPC side by side), a rule change each second. It holds if no request
 * fails, the last change has arrived, and no process has grown by more than 5 % of anonymous memory
 * between the first window after warming up and the last one.
 *
 * Warming up takes two windows, the first with 20 changes a second: a manager compiles its code as
 * changes come. Given 5,000 of them at once and left to rest after each 500, it had 39.3 MB after
 * 500, then 41.0 40.9 41.3 42.8 42.2 42.1 42.7 43.2 42.7: what comes after the first thousand is
 * flat, and at one a second those would take a quarter of an hour.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ApplyMode, ConfigService } from "../api/gen/mesh/v1/config_pb.ts";
import { freePorts } from "../testing/free-port.ts";
import { median, memoryMb, pinned } from "./measure.ts";
import { launch, meshBinary, type Peer } from "./peer.ts";
import { GRPC_PATH, grpcMessage, startNghttpd } from "./peer-h2.ts";

const WINDOW_SECONDS_MAX = 60;
const KNEE_SECONDS = 10;
const GROWTH_MAX = 1.05;
const SAMPLE_MS = 500;
const CHANGE_MS = 1_000;
const FAST_CHANGE_MS = 50;

interface Client {
  readonly name: string;
  readonly connections: number;
  /** Of h2load. */
  readonly flags: readonly string[];
  readonly path: string;
}

interface Count {
  readonly requests: number;
  readonly failed: number;
  readonly perSecond: number;
}

interface Soaked {
  readonly peers: readonly Peer[];
  readonly api: number;
  readonly outbound: number;
  readonly admin: number;
}

/** True if it held. */
export async function benchSoak(seconds: number): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const upstream = freePorts(1)[0]!;
    running.push(await startNghttpd(directory, upstream, "grpc-status: 0"));
    const mesh = await startMesh(directory, upstream, running);
    const clients = clientsOf(directory);
    const knee = await loadAll(clients, mesh.outbound, KNEE_SECONDS);
    const rates = knee.map(({ perSecond }) => Math.max(1, perSecond / 2));
    return await soak(mesh, { clients, rates, seconds });
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function clientsOf(directory: string): Client[] {
  const message = join(directory, "message");
  writeFileSync(message, grpcMessage);
  const fields = ["content-type: application/grpc", "te: trailers"];
  const grpc = [...fields.flatMap((field) => ["-H", field]), "-d", message];
  return [
    { name: "HTTP/1.1", connections: 16, flags: ["--h1", "-m1"], path: "/answer" },
    { name: "HTTP/2", connections: 4, flags: ["-m10"], path: "/answer" },
    { name: "gRPC", connections: 4, flags: ["-m10", ...grpc], path: GRPC_PATH },
  ];
}

/** A manager, the service's sidecar, and the caller's; each goes to `running` once it runs. */
async function startMesh(directory: string, upstream: number, running: Peer[]): Promise<Soaked> {
  const [api, inbound, outbound, unused, admin] = freePorts(5) as Ports;
  const at = (port: number): string => `127.0.0.1:${port}`;
  const any = at(0);
  const start = async (name: string, port: number, args: readonly string[]): Promise<void> => {
    const state = [name === "manager" ? "--data-dir" : "--state-dir", join(directory, name)];
    const command = [meshBinary, ...args, ...state];
    running.push(await launch({ name, directory, port, command }));
  };
  const bare = ["--http", "off", "--metrics", "off"];
  await start("manager", api, ["manager", "--listen", at(api), ...bare]);
  const proxy = ["proxy", "--manager", `http://${at(api)}`, "--readiness", any];
  const service = ["--service", "svc", "--service-port", "80", "--protocol", "http2"];
  const far = ["--app-port", String(upstream), "--inbound", at(inbound), "--outbound", at(unused)];
  await start("far", inbound, [...proxy, "--admin", any, ...service, ...far]);
  const near = ["--admin", at(admin), "--outbound", at(outbound), "--inbound", any];
  await start("near", outbound, [...proxy, ...near]);
  for (let tries = 0; ; tries++) {
    const url = `http://${at(outbound)}/answer`;
    if ((await fetch(url, { headers: { host: "svc" } })).ok) break;
    if (tries > 200) throw new Error("the service does not answer through its proxies");
    await Bun.sleep(50);
  }
  return { peers: running.slice(-3), api, outbound, admin };
}

type Ports = [number, number, number, number, number];

interface Plan {
  readonly clients: readonly Client[];
  /** Requests a second, client by client. */
  readonly rates: readonly number[];
  readonly seconds: number;
}

async function soak(mesh: Soaked, { clients, rates, seconds }: Plan): Promise<boolean> {
  const window = Math.min(WINDOW_SECONDS_MAX, seconds / 4);
  const warmUp = 2 * window;
  console.log(
    `soak: ${rates.map((rate, i) => `${rate.toFixed(0)}/s ${clients[i]!.name}`).join(", ")};`,
    `${seconds} s after ${warmUp} s of warming up, windows of ${window} s`,
  );
  const changes = new Changes(mesh.api, window * 1_000);
  const memory = new MemorySamples(mesh.peers);
  const counts = await loadAll(clients, mesh.outbound, warmUp + seconds, rates);
  const changed = await changes.stop();
  const grown = memory.stop(warmUp, window);
  const arrived = await changes.hasArrived(mesh.admin);
  for (const [i, { requests, failed, perSecond }] of counts.entries())
    console.log(
      `${clients[i]!.name}: ${requests} requests, ${perSecond.toFixed(0)}/s, ${failed} failed`,
    );
  console.log(`rules: ${changed} changes, the last one ${arrived ? "arrived" : "did NOT arrive"}`);
  if (changes.refusals.length > 0) console.log(`not taken: ${changes.refusals.join("; ")}`);
  for (const { name, first, last, all } of grown)
    console.log(
      `${name}: ${first.toFixed(1)} MB anonymous in the first window, ${last.toFixed(1)} MB`,
      `in the last: ${(last / first).toFixed(3)} (${all.map((mb) => mb.toFixed(1)).join(" ")})`,
    );
  const held =
    arrived &&
    changes.refusals.length === 0 &&
    counts.every(({ failed, requests }) => failed === 0 && requests > 0) &&
    grown.every(({ first, last }) => last / first <= GROWTH_MAX);
  console.log(`soak: ${held ? "pass" : "FAIL"}`);
  return held;
}

/** All clients at once; as fast as they can where no rates are given. */
async function loadAll(
  clients: readonly Client[],
  port: number,
  seconds: number,
  rates?: readonly number[],
): Promise<Count[]> {
  return await Promise.all(
    clients.map(async ({ connections, flags, path }, i) => {
      const pace = rates === undefined ? [] : [`--rps=${rates[i]! / connections}`];
      const counts = ["-t1", `-c${connections}`, "-D", String(seconds), ...pace];
      const url = `http://127.0.0.1:${port}${path}`;
      const command = pinned(["h2load", ...counts, ...flags, "-H", ":authority: svc", url]);
      const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
      return countOf(await new Response(child.stdout).text());
    }),
  );
}

function countOf(text: string): Count {
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);
  const bad = [/2xx, (\d+) 3xx/, /3xx, (\d+) 4xx/, /4xx, (\d+) 5xx/, /(\d+) failed/];
  return {
    requests: number(/(\d+) done/),
    failed: bad.reduce((sum, pattern) => sum + number(pattern), 0),
    perSecond: number(/finished in [^,]+, ([\d.]+) req/),
  };
}

/** One rule, told anew each second with another value, as an operator's script would. */
class Changes {
  readonly #config;
  readonly #fastUntilMs: number;
  readonly #running: Promise<void>;
  readonly refusals: string[] = [];
  #count = 0;
  #stopping = false;

  /** `fastMs`: for so long at first they come faster. */
  constructor(api: number, fastMs: number) {
    this.#fastUntilMs = performance.now() + fastMs;
    const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${api}` });
    this.#config = createClient(ConfigService, transport);
    this.#running = this.#run();
  }

  async stop(): Promise<number> {
    this.#stopping = true;
    await this.#running;
    return this.#count;
  }

  async hasArrived(admin: number): Promise<boolean> {
    for (let tries = 0; tries < 100; tries++) {
      const dump = await fetch(`http://127.0.0.1:${admin}/config_dump`);
      if ((await dump.text()).includes(valueAt(this.#count))) return true;
      await Bun.sleep(50);
    }
    return false;
  }

  async #run(): Promise<void> {
    for (; !this.#stopping; await Bun.sleep(this.#pauseMs())) {
      const documents = [{ file: "soak.yaml", text: ruleOf(this.#count + 1) }];
      const mode = ApplyMode.APPLY;
      const [refusal] = await this.#config.apply({ documents, mode, author: "soak" }).then(
        ({ problems }) => problems.map(({ message }) => message),
        (thrown) => [String(thrown)],
      );
      if (refusal === undefined) this.#count++;
      else this.refusals.push(refusal);
    }
  }

  #pauseMs(): number {
    return performance.now() < this.#fastUntilMs ? FAST_CHANGE_MS : CHANGE_MS;
  }
}

const valueAt = (count: number): string => `change-${count}-end`;

function ruleOf(count: number): string {
  return `apiVersion: config.istio.io/v1alpha2
kind: RouteRule
metadata: { name: svc-default, namespace: default }
spec:
  destination: { name: svc }
  precedence: 1
  appendHeaders: { x-soak: ${valueAt(count)} }
  httpReqTimeout: { simpleTimeout: { timeout: ${10 + (count % 5)}s } }
`;
}

/** What has ended has grown without bound: it does not hold. */
function anonymousMb(pid: number): number {
  try {
    return memoryMb(pid).anonymous;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

interface Grown {
  readonly name: string;
  /** Medians of anonymous memory in MB. */
  readonly first: number;
  readonly last: number;
  /** Of every window, warming up included. */
  readonly all: readonly number[];
}

class MemorySamples {
  readonly #peers: readonly Peer[];
  readonly #start = performance.now();
  readonly #samples: { readonly atMs: number; readonly mb: readonly number[] }[] = [];
  readonly #timer: Timer;

  constructor(peers: readonly Peer[]) {
    this.#peers = peers;
    this.#timer = setInterval(() => {
      const mb = peers.map(({ pid }) => anonymousMb(pid));
      this.#samples.push({ atMs: performance.now() - this.#start, mb });
    }, SAMPLE_MS);
  }

  /** The window after `warmUp` and the last one, both in seconds. */
  stop(warmUp: number, window: number): Grown[] {
    clearInterval(this.#timer);
    const endMs = this.#samples.at(-1)?.atMs ?? 0;
    const among = (fromMs: number, i: number): number =>
      median(
        this.#samples
          .filter(({ atMs }) => atMs >= fromMs && atMs <= fromMs + window * 1_000)
          .map(({ mb }) => mb[i]!),
      );
    const windows = Math.floor(endMs / 1_000 / window);
    return this.#peers.map(({ name }, i) => ({
      name,
      first: among(warmUp * 1_000, i),
      last: among(endMs - window * 1_000, i),
      all: Array.from({ length: windows }, (_, n) => among(n * window * 1_000, i)),
    }));
  }
}
