/**
 * The demo's children: each a process group of its own with a log file, stopped in the reverse of
 * the order in which they were started.
 *
 * A guard process holds the other end of a pipe. When this process goes without saying so
 * (SIGKILL, a crash), the pipe closes, and the guard ends every group and removes the directory.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";

export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly log: string;
}

interface Running extends Child {
  readonly process: Bun.Subprocess;
}

export interface SupervisorOptions {
  /** The command that is this executable: ["dist/mesh"], ["bun", "src/main.ts"]. */
  readonly self: readonly string[];
  /** Ours alone; removed at the end. */
  readonly directory: string;
  readonly clock: Clock;
  /** A child ended though nobody asked it to. */
  readonly onCrash: (child: Child, how: string) => void;
}

/** A proxy drains for one second, its application for one more; then patience ends. */
const STOP_MS = 4_000;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #running: Running[] = [];
  readonly #guard: Bun.Subprocess<"pipe", "ignore", "ignore">;
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    mkdirSync(this.logs, { recursive: true });
    this.#guard = Bun.spawn([...options.self, "ctl", "demo-guard", options.directory], {
      stdin: "pipe",
      stdout: "ignore",
      stderr: "ignore",
      detached: true,
      env: childEnvironment(),
    });
  }

  get logs(): string {
    return join(this.#options.directory, "logs");
  }

  get children(): readonly Child[] {
    return this.#running.map(({ name, pid, log }) => ({ name, pid, log }));
  }

  /** `args` follow the executable. */
  start(name: string, args: readonly string[]): Child {
    const log = join(this.logs, `${name}.log`);
    const output = openSync(log, "a");
    const process = Bun.spawn([...this.#options.self, ...args], {
      stdin: "ignore",
      stdout: output,
      stderr: output,
      detached: true,
      env: childEnvironment(),
    });
    closeSync(output);
    const child: Running = { name, pid: process.pid, log, process };
    this.#tellGuard(`${process.pid}\n`);
    this.#running.push(child);
    void process.exited.then(() => {
      this.#running.splice(this.#running.indexOf(child), 1);
      if (!this.#stopping) this.#options.onCrash(child, howItEnded(process));
    });
    return child;
  }

  /** Ends every child, gently if it lets us, and removes the directory. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const [first, ...others] = [...this.#running];
    // The manager last, so that proxies can withdraw from it.
    await this.#end(others);
    if (first !== undefined) await this.#end([first]);
    this.#tellGuard("done\n");
    await this.#guard.stdin.end();
    await this.#guard.exited;
    rmSync(this.#options.directory, { recursive: true, force: true });
  }

  async #end(children: readonly Running[]): Promise<void> {
    for (const { process } of children) process.kill("SIGTERM");
    const cancel = this.#options.clock.after(STOP_MS, () => {
      for (const { pid } of children) killGroup(pid, "SIGKILL");
    });
    await Promise.all(children.map(({ process }) => process.exited));
    cancel();
    // What a proxy that crashed has left of its application.
    for (const { pid } of children) killGroup(pid, "SIGKILL");
  }

  #tellGuard(line: string): void {
    this.#guard.stdin.write(line);
    this.#guard.stdin.flush();
  }
}

export function killGroup(leader: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-leader, signal);
    return true;
  } catch {
    return false;
  }
}

/** The last lines of a child's log, for a report of its crash. */
export function lastLines(log: string, count: number): string {
  try {
    return readFileSync(log, "utf8").trimEnd().split("\n").slice(-count).join("\n");
  } catch {
    return "";
  }
}

function howItEnded(child: Bun.Subprocess): string {
  return child.signalCode === null
    ? `ended with exit code ${child.exitCode}`
    : `was ended by ${child.signalCode}`;
}

/** Ours, without what would bend the demo: proxies, and settings of another mesh. */
function childEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(https?|all|no)_proxy$/i.test(name) && !name.startsWith("MESH_"),
    ),
  );
}
