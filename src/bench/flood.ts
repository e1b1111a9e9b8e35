/**
 * Good clients beside attackers, attack by attack: p99 of the good ones without and with it, in
 * turn, the first quartile of the rounds, and its ratio; the proxy's memory, what it said to the
 * attackers, and how it counted them. Attackers come back 50 ms after they were thrown out, at both
 * doors of the proxy. They run in this process, on core 1: on the measured core the kernel would
 * prefer them to the proxy, which is in the batch class, and their own work would be counted as
 * delay of the good clients'.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AttackSocket } from "../testing/attack-socket.ts";
import { type Attack, attacks } from "../testing/flood-attack.ts";
import { freePorts } from "../testing/free-port.ts";
import { memoryMb, quantile, wrk } from "./measure.ts";
import { launch, meshBinary, type Peer, startUpstream } from "./peer.ts";

const ATTACKERS = 8;
const ATTACKER_CORE = "1";
const RETURN_MS = 50;
const LARGE_BYTES = 1 << 20;

export interface FloodOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Attacks whose names hold one of these; all where there are none. */
  readonly only: readonly string[];
}

interface Victim {
  readonly peer: Peer;
  readonly doors: readonly number[];
  readonly admin: number;
}

export async function benchFlood(options: FloodOptions): Promise<void> {
  Bun.spawnSync(["taskset", "-a", "-cp", ATTACKER_CORE, String(process.pid)]);
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const running: Peer[] = [];
  try {
    const [upstreamPort] = freePorts(1);
    const files = join(directory, "upstream", "large");
    mkdirSync(files, { recursive: true });
    writeFileSync(join(files, "file"), new Uint8Array(LARGE_BYTES));
    running.push(await startUpstream(directory, upstreamPort!));
    const victim = await startVictim(directory, upstreamPort!);
    running.push(victim.peer);
    await goodP99Ms(victim, options.seconds);
    console.log("attack | p99 alone, attacked | ratio | memory | said to attackers | counted as");
    const chosen = attacks.filter(
      ({ name }) => options.only.length === 0 || options.only.some((part) => name.includes(part)),
    );
    for (const attack of chosen) await measure(victim, attack, options);
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startVictim(directory: string, upstream: number): Promise<Victim> {
  const [outbound, inbound, admin] = freePorts(3);
  const any = "127.0.0.1:0";
  const peer = await launch({
    name: "victim",
    directory,
    port: outbound!,
    command: [
      ...[meshBinary, "proxy", "--manager", "none", "--upstream", `svc=127.0.0.1:${upstream}`],
      ...["--service", "svc", "--app-port", String(upstream), "--access-log", "none"],
      ...["--outbound", `127.0.0.1:${outbound}`, "--inbound", `127.0.0.1:${inbound}`],
      ...["--admin", `127.0.0.1:${admin}`, "--readiness", any],
      ...["--state-dir", join(directory, "victim-state")],
    ],
  });
  return { peer, doors: [outbound!, inbound!], admin: admin! };
}

async function measure(victim: Victim, attack: Attack, options: FloodOptions): Promise<void> {
  const alone: number[] = [];
  const beside: number[] = [];
  const said = new Map<string, number>();
  const { pid } = victim.peer;
  const counted = await countOf(victim, attack.reason);
  let before = memoryMb(pid).anonymous;
  let memory = 0;
  for (let round = 0; round < options.rounds; round++) {
    alone.push(await goodP99Ms(victim, options.seconds));
    before = Math.min(before, memoryMb(pid).anonymous);
    const attackers = new Attackers(victim, attack, said);
    const sampling = setInterval(() => {
      memory = Math.max(memory, memoryMb(pid).anonymous - before);
    }, 20);
    await Bun.sleep(300);
    beside.push(await goodP99Ms(victim, options.seconds));
    clearInterval(sampling);
    await attackers.stop();
    await Bun.sleep(300);
  }
  const [quiet, attacked] = [quantile(alone, 0.25), quantile(beside, 0.25)];
  const ended = (await countOf(victim, attack.reason)) - counted;
  const words = [...said].map(([what, n]) => `${n} × ${what}`).join(", ");
  console.log(
    `${attack.name} | ${quiet.toFixed(2)}, ${attacked.toFixed(2)} ms |`,
    `${(attacked / quiet).toFixed(2)} | +${memory.toFixed(1)} MB | ${words || "nothing"} |`,
    attack.reason === undefined ? "not counted" : `${ended} × ${attack.reason}`,
  );
}

async function goodP99Ms(victim: Victim, seconds: number): Promise<number> {
  const url = `http://127.0.0.1:${victim.doors[0]}/`;
  const result = await wrk({ url, host: "svc", connections: 16, seconds });
  if (result.requests === 0 || result.errors > 0) throw new Error("good clients were refused");
  return result.p99Ms;
}

async function countOf(victim: Victim, reason: string | undefined): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${victim.admin}/stats/prometheus`);
  const start = `mesh_http2_connections_ended_total{reason="${reason}"} `;
  const line = (await response.text()).split("\n").find((one) => one.startsWith(start));
  return Number(line?.slice(start.length) ?? 0);
}

class Attackers {
  readonly #said: Map<string, number>;
  readonly #attack: Attack;
  readonly #sockets = new Set<AttackSocket>();
  readonly #running: Promise<void>[];
  #stopping = false;

  constructor(victim: Victim, attack: Attack, said: Map<string, number>) {
    this.#said = said;
    this.#attack = attack;
    this.#running = victim.doors.flatMap((port) =>
      Array.from({ length: ATTACKERS }, () => this.#comeBack(port)),
    );
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const socket of this.#sockets) socket.close();
    await Promise.all(this.#running);
  }

  async #comeBack(port: number): Promise<void> {
    while (!this.#stopping) {
      const socket = await AttackSocket.connect(port, this.#attack.version);
      this.#sockets.add(socket);
      await this.#attack.run(socket, "svc", 60_000);
      this.#sockets.delete(socket);
      const last = socket.said.at(-1);
      if (last !== undefined) this.#said.set(last, (this.#said.get(last) ?? 0) + 1);
      socket.close();
      await Bun.sleep(RETURN_MS);
    }
  }
}
