/**
 * Kills a manager with SIGKILL amid writes, again and again, and looks for what it had
 * acknowledged: `bun src/bench/manager-crash.ts [rounds] [seed]`. Each writer puts groups of
 * objects that carry one number, so a torn commit shows as a group of two numbers.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ApplyMode, ConfigService } from "../api/gen/mesh/v1/config_pb.ts";
import { type Random, seededRandom } from "../core/random.ts";

export interface CrashOptions {
  /** How a manager is started: ["dist/mesh"] or [bun, "src/main.ts"]. */
  readonly command: readonly string[];
  readonly rounds: number;
  readonly random: Random;
}

export interface CrashReport {
  readonly acknowledged: number;
  /** What was promised and not kept; empty is good. */
  readonly broken: readonly string[];
}

const WRITERS = 4;
const GROUP = 3;
/** From the first acknowledgement of a round. */
const RUN_MS_MOST = 200;

export async function crashManager(options: CrashOptions): Promise<CrashReport> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-crash-"));
  const promises = new Promises();
  try {
    for (let round = 0; round < options.rounds; round++)
      await crashOnce(options, directory, promises);
    const last = await Running.start(options.command, directory);
    await promises.check(last);
    await last.kill();
    return { acknowledged: promises.acknowledged, broken: promises.broken };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function crashOnce(
  { command, random }: CrashOptions,
  directory: string,
  promises: Promises,
): Promise<void> {
  const manager = await Running.start(command, directory);
  await promises.check(manager);
  const before = promises.acknowledged;
  const writers = Array.from({ length: WRITERS }, (_, writer) => promises.write(manager, writer));
  while (promises.acknowledged === before) await Bun.sleep(1);
  await Bun.sleep(random() * RUN_MS_MOST);
  await manager.kill();
  await Promise.all(writers);
}

/** What was tried, what was acknowledged, and whether it is there. */
class Promises {
  acknowledged = 0;
  readonly broken: string[] = [];
  readonly #tried = new Map<number, number>();
  readonly #kept = new Map<number, number>();
  #revision = 0;

  /** Until the manager is gone. */
  async write(manager: Running, writer: number): Promise<void> {
    for (;;) {
      const number = (this.#tried.get(writer) ?? 0) + 1;
      this.#tried.set(writer, number);
      const text = Array.from({ length: GROUP }, (_, i) => egress(writer, i, number)).join("---\n");
      const documents = [{ file: `writer-${writer}.yaml`, text }];
      try {
        const { revision, problems } = await manager.config.apply({
          documents,
          mode: ApplyMode.APPLY,
          author: `writer ${writer}`,
        });
        if (problems.length > 0) this.broken.push(problems[0]?.message ?? "");
        this.#kept.set(writer, number);
        this.#revision = Math.max(this.#revision, Number(revision));
        this.acknowledged++;
      } catch {
        if (manager.killed) return;
        await Bun.sleep(1);
      }
    }
  }

  async check(manager: Running): Promise<void> {
    const { objects, revision } = await manager.config.list({ kind: "EgressRule" });
    if (Number(revision) < this.#revision)
      this.broken.push(`revision ${revision} after ${this.#revision} was acknowledged`);
    for (let writer = 0; writer < WRITERS; writer++) {
      const numbers = objects
        .filter(({ name }) => name.startsWith(`writer-${writer}-`))
        .map(({ text }) => Number(/n(\d+)\.example/.exec(text)?.[1]));
      const [first = 0, ...rest] = numbers;
      const [kept, tried] = [this.#kept.get(writer) ?? 0, this.#tried.get(writer) ?? 0];
      if (rest.some((number) => number !== first))
        this.broken.push(`writer ${writer}: a torn commit: ${numbers.join(", ")}`);
      if (first < kept || first > tried)
        this.broken.push(`writer ${writer}: ${first} is there, ${kept} was acknowledged`);
      this.#tried.set(writer, first);
      this.#kept.set(writer, first);
    }
  }
}

class Running {
  readonly config;
  readonly #process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  killed = false;

  static async start(command: readonly string[], directory: string): Promise<Running> {
    const flags = ["--listen", "127.0.0.1:0", "--http", "off", "--metrics", "off"];
    const process = Bun.spawn([...command, "manager", ...flags, "--data-dir", directory], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    let said = "";
    for await (const chunk of process.stdout) {
      said += new TextDecoder().decode(chunk);
      const address = /api ([^,\s]+)/.exec(said)?.[1];
      if (address !== undefined) return new Running(process, address);
    }
    throw new Error(`the manager did not start: ${await new Response(process.stderr).text()}`);
  }

  private constructor(process: Bun.Subprocess<"ignore", "pipe", "pipe">, address: string) {
    this.#process = process;
    this.config = createClient(
      ConfigService,
      createGrpcTransport({ baseUrl: `http://${address}` }),
    );
  }

  async kill(): Promise<void> {
    this.killed = true;
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}

function egress(writer: number, i: number, number: number): string {
  return `apiVersion: config.istio.io/v1alpha2
kind: EgressRule
metadata: { name: writer-${writer}-${i} }
spec:
  destination: { service: w${writer}-${i}.n${number}.example }
  ports: [{ port: 80, protocol: http }]
`;
}

if (import.meta.main) {
  const [rounds = "100", seed = `${Date.now() % 1_000_000}`] = process.argv.slice(2);
  const main = join(import.meta.dir, "..", "main.ts");
  const report = await crashManager({
    command: [process.execPath, main],
    rounds: Number(rounds),
    random: seededRandom(Number(seed)),
  });
  console.log(`seed ${seed}: ${rounds} kills, ${report.acknowledged} acknowledged writes`);
  for (const broken of report.broken) console.log(`BROKEN ${broken}`);
  process.exit(report.broken.length === 0 ? 0 : 1);
}
