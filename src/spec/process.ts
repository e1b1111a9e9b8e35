/**
 * The built binary and its friends as real processes, with a folder and free ports of their own,
 * all ended by `close`, whatever the test did.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export const root = join(import.meta.dir, "..", "..");
export const meshBinary = join(root, "dist", "mesh");

export interface Running {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  /** What it has printed so far. */
  output(): string;
}

export class Stage {
  readonly directory = mkdtempSync(join(tmpdir(), "mesh-spec-"));
  readonly #running: Running[] = [];
  readonly #servers: { stop(force?: boolean): unknown }[] = [];

  /** Writes a file below the stage's folder and returns its path. */
  file(name: string, text: string): string {
    const path = join(this.directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  mesh(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Running {
    return this.run([meshBinary, ...args], environment);
  }

  run(command: readonly string[], environment: Readonly<Record<string, string>> = {}): Running {
    const child = Bun.spawn([...command], {
      cwd: this.directory,
      env: { ...process.env, ...environment },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    let text = "";
    const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
      for await (const chunk of stream) text += new TextDecoder().decode(chunk);
    };
    void read(child.stdout);
    void read(child.stderr);
    const running = { child, output: () => text };
    this.#running.push(running);
    return running;
  }

  /** An application that answers every request with `body`; returns its port. */
  application(body: string): number {
    return this.crashable(body).port;
  }

  /** An application of the test's own; returns its port. */
  serve(fetch: (request: Request) => Response): number {
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch });
    this.#servers.push(server);
    return server.port ?? 0;
  }

  /** The same, and a way to have it gone at once, connections and all. */
  crashable(body: string): { readonly port: number; crash(): void } {
    // It answers what is whole: an answer in the middle of a request is a case of its own.
    const fetch = async (request: Request): Promise<Response> => {
      await request.arrayBuffer();
      return new Response(body);
    };
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch });
    this.#servers.push(server);
    return { port: server.port ?? 0, crash: () => void server.stop(true) };
  }

  async close(): Promise<void> {
    const end = async ({ child }: Running): Promise<void> => {
      child.kill("SIGTERM");
      const killer = setTimeout(() => child.kill("SIGKILL"), 4_000);
      await child.exited;
      clearTimeout(killer);
    };
    await Promise.all(this.#running.map(end));
    for (const server of this.#servers) server.stop(true);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Memory of a process that is its own, in MB. */
export function anonymousMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}

/** Runs a command of ctl to its end. */
export async function ctl(
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const child = Bun.spawn([meshBinary, "ctl", ...args], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out, err };
}

/** Waits for a condition; a failure says what was awaited. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await Bun.sleep(20);
  }
}
