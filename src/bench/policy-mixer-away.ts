/**
 * What requests that need no mixer notice of one that is killed, frozen, slow or talks nonsense:
 * their 99th percentile beside what it is with a healthy mixer, round by round, while others ask
 * for it all the time.
 *
 *   wrk ──/route/9──▶ proxy ──▶ upstream         measured
 *   asker ─/route/3─▶ proxy ──▶ detour ──▶ mixer ──▶ a backend here
 *
 * The detour is what the proxy takes for its mixer: it passes on, or does what the state says.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { median, wrk } from "./measure.ts";
import { HOST, launch, meshBinary, type Peer, startMesh, startUpstream } from "./peer.ts";
import { pathRules } from "./rule-set.ts";

const CONNECTIONS = 16;
/** Times the 99th percentile with a healthy mixer. */
const BAR = 1.2;
const TIMEOUT_MS = 250;
/** Questions for the mixer, between two. */
const ASKED_EACH_MS = 5;

const states = ["healthy", "killed", "frozen", "slow", "garbage"] as const;
type State = (typeof states)[number];

/** Answers of a slow mixer come so late. */
const LATE_MS = 4 * TIMEOUT_MS;

const rule = (backend: number): string => `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: needs-mixer, namespace: istio-system }
spec:
  match: request.path.startsWith("/route/3")
  failPolicy: closed
  actions:
  - handler: { compiledAdapter: webhook, params: { url: "http://127.0.0.1:${backend}" } }
    instances: [{ compiledTemplate: listentry, params: { value: request.path } }]
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: needs-none, namespace: istio-system }
spec:
  actions:
  - handler: { compiledAdapter: list, params: { overrides: [mallory], blacklist: true } }
    instances:
    - { compiledTemplate: listentry, params: { value: 'request.headers["x-user"] | "none"' } }
`;

/** What stands in a mixer's place. */
class Detour {
  readonly #sockets = new Set<Socket>();
  readonly #to: number;
  readonly #port: number;
  #server: Server | undefined;
  #state: State = "healthy";

  constructor(port: number, to: number) {
    this.#port = port;
    this.#to = to;
  }

  /** Connections of before are gone. */
  async become(state: State): Promise<void> {
    this.#state = state;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    if (state === "killed") await this.close();
    else this.#server ??= await this.#listen();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  #listen(): Promise<Server> {
    const server = createServer((socket) => this.#accept(socket));
    return new Promise((resolve) => server.listen(this.#port, "127.0.0.1", () => resolve(server)));
  }

  #accept(socket: Socket): void {
    this.#keep(socket);
    if (this.#state === "garbage") return void socket.write("nonsense ".repeat(1_000));
    const mixer = this.#keep(connect(this.#to, "127.0.0.1"));
    const isSlow = this.#state === "slow";
    socket.on("data", (bytes) => mixer.write(bytes));
    mixer.on("data", (bytes) => {
      if (isSlow) setTimeout(() => socket.destroyed || socket.write(bytes), LATE_MS);
      else socket.write(bytes);
    });
    socket.on("close", () => mixer.destroy());
    mixer.on("close", () => socket.destroy());
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    return socket.on("error", () => {}).on("close", () => this.#sockets.delete(socket));
  }
}

/** Asks all the time for what needs the mixer, and counts how it went. */
class Asker {
  readonly #port: number;
  readonly codes = new Map<number, number>();
  #timer: Timer | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  start(): void {
    this.codes.clear();
    this.#timer = setInterval(() => void this.#ask(), ASKED_EACH_MS);
  }

  stop(): string {
    clearInterval(this.#timer);
    return [...this.codes].map(([code, count]) => `${count} x ${code}`).join(", ");
  }

  /** The mixer answers again. */
  async untilWell(): Promise<void> {
    for (let tries = 0; tries < 200; tries++) {
      if ((await this.#ask()) === 200) return;
      await Bun.sleep(50);
    }
    throw new Error("the mixer is not asked again");
  }

  async #ask(): Promise<number> {
    const path = `/route/3/${Math.random()}`;
    const init = { headers: { host: HOST }, signal: AbortSignal.timeout(10_000) };
    const answer = await fetch(`http://127.0.0.1:${this.#port}${path}`, init).catch(
      () => undefined,
    );
    await answer?.arrayBuffer().catch(() => undefined);
    const code = answer?.status ?? 0;
    this.codes.set(code, (this.codes.get(code) ?? 0) + 1);
    return code;
  }
}

interface Setting {
  readonly mesh: Peer;
  readonly mixer: Peer;
  readonly detour: Detour;
  readonly asker: Asker;
  readonly seconds: number;
}

/** The 99th percentile in ms, and what was answered to those that need the mixer. */
async function measure(state: State, setting: Setting): Promise<readonly [number, string]> {
  const { mesh, mixer, detour, asker, seconds } = setting;
  await detour.become(state);
  if (state === "frozen") process.kill(mixer.pid, "SIGSTOP");
  if (state === "healthy") await asker.untilWell();
  const url = `http://127.0.0.1:${mesh.port}/route/9`;
  asker.start();
  // Those under way when it began are over.
  await Bun.sleep(2 * TIMEOUT_MS);
  const load = { url, host: HOST, connections: CONNECTIONS, seconds };
  const { p99Ms, errors } = await wrk(load);
  const codes = asker.stop();
  if (state === "frozen") process.kill(mixer.pid, "SIGCONT");
  if (errors > 0) console.log(`${state}: ${errors} ERRORS of requests that need no mixer`);
  return [p99Ms, codes];
}

/** False: the bar was missed. */
export async function benchMixerAway(rounds: number, seconds: number): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  const backend = Bun.serve({ port: 0, fetch: () => Response.json({ code: 0 }) });
  const [place = 0, at = 0, monitor = 0, port = 0] = freePorts(4);
  const detour = new Detour(place, at);
  try {
    const upstream = await startUpstream(directory, freePorts(1)[0]!);
    running.push(upstream);
    const rules = join(directory, "rules");
    mkdirSync(rules);
    const documents = [pathRules(upstream.port, 10), rule(backend.port ?? 0)];
    writeFileSync(join(rules, "rules.yaml"), documents.join("\n---\n"));
    const where = ["--listen", `127.0.0.1:${at}`, "--metrics", `127.0.0.1:${monitor}`];
    // Beside the measured core, or a healthy mixer would be in the way of what is measured.
    const command = ["taskset", "-c", "1", meshBinary, "mixer", "-f", rules, ...where];
    const mixer = await launch({ name: "mixer", directory, port: monitor, command });
    running.push(mixer);
    await detour.become("healthy");
    const flags = ["--mixer", `127.0.0.1:${place}`, "--mixer-timeout", String(TIMEOUT_MS / 1_000)];
    const mesh = await startMesh("mesh", directory, port, { rules, flags });
    running.push(mesh);
    const setting = { mesh, mixer, detour, asker: new Asker(port), seconds };
    await wrk({ url: `http://127.0.0.1:${port}/route/9`, host: HOST, connections: 16, seconds: 3 });
    return await compare(setting, rounds);
  } finally {
    await detour.close();
    for (const peer of running.reverse()) await peer.stop();
    await backend.stop(true);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function compare(setting: Setting, rounds: number): Promise<boolean> {
  const all = new Map<State, number[]>(states.map((state) => [state, []]));
  const codes = new Map<State, string>();
  for (let round = 0; round < rounds; round++)
    for (const state of states) {
      const [p99Ms, answers] = await measure(state, setting);
      all.get(state)!.push(p99Ms);
      codes.set(state, answers);
    }
  let isMet = true;
  console.log(`requests that need no mixer, ${CONNECTIONS} connections; answers to those that do`);
  const healthy = all.get("healthy")!;
  for (const [state, values] of all) {
    const ratio = median(values.map((value, round) => value / healthy[round]!));
    const isMissed = !(ratio <= BAR);
    if (isMissed) isMet = false;
    const judged = `${ratio.toFixed(2)} of healthy (at most ${BAR}${isMissed ? ": MISSED" : ""})`;
    const figures = `p99 ${median(values).toFixed(2).padStart(6)} ms, ${judged}`;
    console.log(`  ${state.padEnd(8)} ${figures}; ${codes.get(state)}`);
  }
  return isMet;
}
