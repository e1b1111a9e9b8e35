/**
 * Real servers that speak other protocols than HTTP, on free ports with data of their own below the
 * stage's folder. Where they insist on it they run as nobody. Debian: postgresql, redis-server,
 * mariadb-server.
 */
import { chmodSync, chownSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { type Stage, until } from "./process.ts";

const NOBODY = 65_534;

export interface Database {
  readonly port: number;
  /** Runs what a user of it would type, through `port`; throws what it says where it fails. */
  ask(port: number, words: string): Promise<string>;
}

export interface DatabaseKind {
  readonly name: string;
  /** The programs it needs; undefined: not all of them are installed. */
  find(): Readonly<Record<string, string>> | undefined;
  start(stage: Stage, programs: Readonly<Record<string, string>>): Promise<Database>;
}

/** On PATH, in sbin, or where Debian keeps PostgreSQL's. */
function program(name: string): string | undefined {
  const versions = readdirOr("/usr/lib/postgresql").map((one) => `/usr/lib/postgresql/${one}/bin`);
  const path = [process.env.PATH, "/usr/sbin", ...versions].join(":");
  return Bun.which(name, { PATH: path }) ?? undefined;
}

function readdirOr(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function programs<const N extends string>(...names: readonly N[]) {
  const found = names.map((name) => [name, program(name)] as const);
  if (found.some(([, path]) => path === undefined)) return undefined;
  return Object.fromEntries(found) as Record<N, string>;
}

/** A folder that nobody may use, and the words before a command that make it nobody's. */
function asNobody(stage: Stage, name: string): { directory: string; prefix: readonly string[] } {
  const directory = join(stage.directory, name);
  mkdirSync(directory);
  if (process.getuid?.() !== 0) return { directory, prefix: [] };
  chmodSync(stage.directory, 0o755);
  chownSync(directory, NOBODY, NOBODY);
  const ids = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  return { directory, prefix: ["setpriv", ...ids] };
}

async function output(command: readonly string[], input = ""): Promise<string> {
  const child = Bun.spawn([...command], {
    stdin: new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, PGCONNECT_TIMEOUT: "5" },
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${err}${out}`);
  return out.trim();
}

async function untilAnswers(database: Database, words: string, said: () => string): Promise<void> {
  const answers = async (): Promise<boolean> => {
    try {
      await database.ask(database.port, words);
      return true;
    } catch {
      return false;
    }
  };
  try {
    await until("the server to answer", answers, 30_000);
  } catch {
    throw new Error(`it does not answer; it said: ${said()}`);
  }
}

const postgresql: DatabaseKind = {
  name: "PostgreSQL",
  find: () => programs("initdb", "postgres", "psql"),
  async start(stage, { initdb = "", postgres = "", psql = "" }) {
    const [port = 0] = freePorts(1);
    const { directory, prefix } = asNobody(stage, "postgresql");
    const data = join(directory, "data");
    const user = ["-A", "trust", "-U", "mesh", "--no-sync"];
    await output([...prefix, initdb, "-D", data, ...user]);
    const at = ["-h", "127.0.0.1", "-p", String(port), "-k", directory];
    const running = stage.run([...prefix, postgres, "-D", data, ...at]);
    const ask = (through: number, words: string): Promise<string> =>
      output(
        [psql, "-h", "127.0.0.1", "-p", String(through), "-U", "mesh", "-d", "postgres", "-Atq"],
        words,
      );
    await untilAnswers({ port, ask }, "select 1;", running.output);
    return { port, ask };
  },
};

const redis: DatabaseKind = {
  name: "Redis",
  find: () => programs("redis-server", "redis-cli"),
  async start(stage, { "redis-server": server = "", "redis-cli": client = "" }) {
    const [port = 0] = freePorts(1);
    const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", ""];
    const running = stage.run([server, ...options, "--dir", stage.directory]);
    const ask = (through: number, words: string): Promise<string> =>
      output([client, "-h", "127.0.0.1", "-p", String(through)], words);
    await untilAnswers({ port, ask }, "PING", running.output);
    return { port, ask };
  },
};

/** Its server speaks first. */
const mariadb: DatabaseKind = {
  name: "MariaDB",
  find: () => programs("mariadbd", "mariadb"),
  async start(stage, { mariadbd = "", mariadb: client = "" }) {
    const [port = 0] = freePorts(1);
    const { directory, prefix } = asNobody(stage, "mariadb");
    const running = stage.run([
      ...[...prefix, mariadbd, "--no-defaults", `--datadir=${directory}`, "--skip-grant-tables"],
      ...[`--port=${port}`, "--bind-address=127.0.0.1", `--socket=${join(directory, "socket")}`],
      ...[`--pid-file=${join(directory, "pid")}`, "--innodb-buffer-pool-size=16M"],
    ]);
    const options = ["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1", "-N", "-B"];
    const ask = (through: number, words: string): Promise<string> =>
      output([client, ...options, "-P", String(through)], words);
    await untilAnswers({ port, ask }, "select 1;", running.output);
    return { port, ask };
  },
};

export const databases: readonly DatabaseKind[] = [postgresql, redis, mariadb];
