/**
 * HTTP/2 side by side, without TLS: h2load to a proxy to nghttpd (HTTP/2) or nginx (HTTP/1.1), or
 * with messages of gRPC, which are POSTs that nghttpd answers and ends with a trailer. Ours has 100
 * services, 200 rules and telemetry on; HAProxy, nginx, nghttpx and Envoy one route each.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import type { H1Options } from "./h1.ts";
import { cpuMicros, geometricMean, median, pinned, quantile } from "./measure.ts";
import { HOST, meshBinary, type Peer, startEnvoy, startMesh, startUpstream } from "./peer.ts";
import {
  GRPC_PATH,
  grpcMessage,
  startHaproxyH2,
  startNghttpd,
  startNghttpx,
  startNginxH2,
  type UpstreamVersion,
} from "./peer-h2.ts";
import { serviceRules } from "./rule-set.ts";

/** Streams that h2load keeps busy on each connection. */
const STREAMS = 10;
/** Ours compiles what is hot while it serves; measured before that, it is the compiler's time. */
const WARM_UP_SECONDS = 10;
const peers = ["haproxy", "nginx", "nghttpx", "envoy", "former"] as const;

interface Suite {
  readonly title: string;
  readonly version: UpstreamVersion;
  /** Of requests, besides :authority. */
  readonly flags: readonly string[];
  readonly path: string;
}

interface Sample {
  readonly cpuMicros: number;
  readonly perSecond: number;
  readonly failed: number;
}

export async function benchH2(options: H1Options): Promise<void> {
  await run({ title: "h2 to h2", version: "http2", flags: [], path: "/answer" }, options);
  await run({ title: "h2 to http/1.1", version: "http1", flags: [], path: "/route/9" }, options);
}

export async function benchGrpc(options: H1Options): Promise<void> {
  const message = join(mkdtempSync(join(tmpdir(), "mesh-bench-")), "message");
  writeFileSync(message, grpcMessage);
  const fields = ["content-type: application/grpc", "te: trailers", "grpc-timeout: 5S"];
  const flags = [...fields.flatMap((field) => ["-H", field]), "-d", message];
  await run({ title: "gRPC", version: "http2", flags, path: GRPC_PATH }, options);
  rmSync(join(message, ".."), { recursive: true, force: true });
}

async function run(suite: Suite, options: H1Options): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const at = freePorts(1)[0]!;
    const trailer = suite.title === "gRPC" ? "grpc-status: 0" : "";
    const isHttp2 = suite.version === "http2";
    running.push(
      await (isHttp2 ? startNghttpd(directory, at, trailer) : startUpstream(directory, at)),
    );
    const proxies = await startProxies(directory, at, suite, options);
    running.push(...proxies);
    await report(suite, proxies, options);
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startProxies(
  directory: string,
  upstream: number,
  { version }: Suite,
  { only, former }: H1Options,
): Promise<Peer[]> {
  const rules = join(directory, "rules");
  mkdirSync(rules);
  writeFileSync(join(rules, "rules.yaml"), serviceRules(upstream, version));
  const isHttp2 = version === "http2";
  const starters: Record<string, (port: number) => Promise<Peer>> = {
    mesh: (port) => startMesh("mesh", directory, port, { rules, binary: meshBinary }),
    ...(former !== "" && {
      former: (port) => startMesh("former", directory, port, { rules, binary: former }),
    }),
    haproxy: (port) => startHaproxyH2(directory, port, upstream, version),
    nginx: (port) => startNginxH2(directory, port, upstream, version),
    nghttpx: (port) => startNghttpx(directory, port, upstream, version),
    envoy: (port) => startEnvoy(directory, port, upstream, isHttp2),
  };
  const started: Peer[] = [];
  for (const [name, start] of Object.entries(starters)) {
    if (only.length > 0 && !only.includes(name)) continue;
    try {
      started.push({ ...(await start(freePorts(1)[0]!)), name });
    } catch (error) {
      console.log(`${name}: left out: ${error instanceof Error ? error.message : error}`);
    }
  }
  return started;
}

async function report(suite: Suite, proxies: readonly Peer[], options: H1Options): Promise<void> {
  for (const { name, port } of proxies) {
    const isOurs = name === "mesh" || name === "former";
    await load(suite, port, 16, isOurs ? WARM_UP_SECONDS : 1);
  }
  const ratios = new Map<string, number[]>();
  for (const connections of options.connections) {
    const samples = new Map<string, Sample[]>(proxies.map(({ name }) => [name, []]));
    for (let round = 0; round < options.rounds; round++)
      for (const { name, pid, port } of proxies) {
        const before = cpuMicros(pid);
        const result = await load(suite, port, connections, options.seconds);
        const used = cpuMicros(pid) - before;
        samples.get(name)!.push({ ...result, cpuMicros: used / result.requests });
      }
    print(suite, connections, samples, ratios);
  }
  for (const [pair, values] of ratios)
    console.log(`${suite.title}: ${pair}: geometric mean ${geometricMean(values).toFixed(2)}`);
}

function print(
  { title }: Suite,
  connections: number,
  samples: ReadonlyMap<string, readonly Sample[]>,
  ratios: Map<string, number[]>,
): void {
  const what = "processor µs a request, first quartile and median; requests/s; failed";
  console.log(`\n${title}, ${connections} connections of ${STREAMS} streams: ${what}`);
  const cpu = (name: string): number[] => (samples.get(name) ?? []).map((row) => row.cpuMicros);
  for (const [name, rows] of samples) {
    const [low, middle] = [quantile(cpu(name), 0.25), median(cpu(name))];
    const perSecond = median(rows.map((row) => row.perSecond));
    const failed = rows.reduce((sum, row) => sum + row.failed, 0);
    const columns = [low.toFixed(2), middle.toFixed(2), perSecond.toFixed(0), String(failed)];
    console.log(`  ${name.padEnd(10)} ${columns.map((text) => text.padStart(9)).join(" ")}`);
  }
  for (const name of peers) {
    if (!samples.has(name) || !samples.has("mesh")) continue;
    const low = quantile(cpu("mesh"), 0.25) / quantile(cpu(name), 0.25);
    const middle = median(cpu("mesh")) / median(cpu(name));
    ratios.set(`mesh / ${name}`, [...(ratios.get(`mesh / ${name}`) ?? []), low]);
    console.log(`  mesh / ${name}: ${low.toFixed(2)} (medians ${middle.toFixed(2)})`);
  }
}

/** One run of h2load; `failed`: whatever was no 2xx. */
async function load(
  { flags, path }: Suite,
  port: number,
  connections: number,
  seconds: number,
): Promise<{ readonly requests: number; readonly perSecond: number; readonly failed: number }> {
  const counts = ["-t1", `-c${connections}`, `-m${STREAMS}`, "-D", String(seconds)];
  const head = ["-H", `:authority: ${HOST}`, "-H", "accept: */*", ...flags];
  const child = Bun.spawn(
    pinned(["h2load", ...counts, ...head, `http://127.0.0.1:${port}${path}`]),
    { stdin: "ignore", stdout: "pipe", stderr: "ignore" },
  );
  return readH2load(await new Response(child.stdout).text());
}

/** What h2load says at its end; `failed`: whatever was no 2xx. */
export function readH2load(text: string) {
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);
  const good = number(/status codes: (\d+) 2xx/);
  const others = [/2xx, (\d+) 3xx/, /3xx, (\d+) 4xx/, /4xx, (\d+) 5xx/, /(\d+) errored/];
  const failed = others.reduce((sum, pattern) => sum + number(pattern), 0);
  return { requests: good + failed, perSecond: number(/finished in [^,]+, ([\d.]+) req/), failed };
}
