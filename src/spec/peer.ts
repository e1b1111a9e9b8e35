/**
 * Programs of others that tests meet, as users would have them: found on the machine, or made once
 * below dist/peer. What cannot be had is a visible skip, and with CI=true a failure.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { root, type Stage } from "./process.ts";

export interface Peer {
  /** Empty: it is here. Else what is not, and what was said about it. */
  readonly missing: string;
  /** A test of it cannot run here, and need not. */
  readonly skipped: boolean;
}

export interface Output {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const made = join(root, "dist", "peer");

/** Go's gRPC (fixture/go) and h2spec. */
export const goPeer = join(made, "peer");
export const h2spec = join(made, "h2spec");
/** Python's gRPC, to be had with `pythonEnvironment`. */
export const pythonPeer = join(import.meta.dir, "fixture", "grpc_peer.py");
const pythonPackages = join(made, "python");
export const pythonEnvironment: Readonly<Record<string, string>> = {
  PYTHONPATH: pythonPackages,
  PYTHONDONTWRITEBYTECODE: "1",
};
const GRPCIO = "1.85.1";

function peer(missing: string): Peer {
  return { missing, skipped: missing !== "" && process.env.CI !== "true" };
}

/** Programs that Debian has. */
export function installed(...programs: readonly string[]): Peer {
  return peer(programs.filter((program) => Bun.which(program) === null).join(", "));
}

/** Makes what is written in Go; versions and sums are its module's. A second time it is quick. */
export async function makeGo(): Promise<Peer> {
  const go = Bun.which("go");
  if (go === null) return peer("go");
  mkdirSync(made, { recursive: true });
  const source = join(import.meta.dir, "fixture", "go");
  const { code, err } = await run([go, "build", "-C", source, "-o", `${made}/`, ".", "tool"]);
  return peer(code === 0 ? "" : `go build: ${err}`);
}

export async function makePython(): Promise<Peer> {
  const python = Bun.which("python3");
  if (python === null) return peer("python3");
  if (existsSync(join(pythonPackages, `grpcio-${GRPCIO}.dist-info`))) return peer("");
  const options = ["--quiet", "--upgrade", "--only-binary", ":all:", "--target", pythonPackages];
  const { code, err } = await run([
    python,
    "-m",
    "pip",
    "install",
    ...options,
    `grpcio==${GRPCIO}`,
  ]);
  return peer(code === 0 ? "" : `pip install: ${err}`);
}

/** Builds programs of fixture/ into one JavaScript file each, which Node.js and Bun run alike. */
export async function buildFixtures(stage: Stage, ...names: readonly string[]): Promise<void> {
  await Bun.build({
    entrypoints: names.map((name) => join(import.meta.dir, "fixture", `${name}.ts`)),
    target: "node",
    outdir: stage.directory,
    naming: "[name].mjs",
  });
}

/** Runs a command to its end; after `timeoutMs` it is killed. */
export async function run(
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  timeoutMs = 300_000,
): Promise<Output> {
  const child = Bun.spawn([...command], {
    env: { ...process.env, ...environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, out, err };
}
