/**
 * The method of every speed figure. Load, proxy and upstream share one core under SCHED_BATCH, and
 * processor time is read from the process's own CPU clock: on loopback with few cores wake-ups and
 * preemption otherwise move figures by up to two times. Variants are interleaved by the caller.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";

const { symbols: libc } = dlopen("libc.so.6", {
  clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
});
const timespec = new BigInt64Array(2);

/** Microseconds of processor time that a process has used, all threads (clock_getcpuclockid). */
export function cpuMicros(pid: number): number {
  const code = libc.clock_gettime((~pid << 3) | 2, ptr(timespec));
  if (code !== 0) throw new Error(`no CPU clock for process ${pid}`);
  return Number(timespec[0]!) * 1e6 + Number(timespec[1]!) / 1e3;
}

/** Resident memory in MB, and the part that is the process's own (anonymous). */
export function memoryMb(pid: number): { readonly rss: number; readonly anonymous: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kb = (key: string): number =>
    Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)?.[1] ?? 0);
  return { rss: kb("VmRSS") / 1024, anonymous: kb("RssAnon") / 1024 };
}

export interface LoadResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
}

export interface Load {
  readonly url: string;
  readonly host: string;
  readonly connections: number;
  readonly seconds: number;
  /** Further fields of each request: "Connection: close". */
  readonly fields?: readonly string[];
  /** What runs the command elsewhere: ip netns exec NAME. */
  readonly within?: readonly string[];
}

/** Puts a command on the measured core, in the batch class. */
export function pinned(command: readonly string[]): string[] {
  return ["chrt", "-b", "0", "taskset", "-c", "0", ...command];
}

/** wrk, as it is started. */
export function spawnWrk(load: Load): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  const { connections, seconds, host, url, fields = [], within = [] } = load;
  const counts = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency"];
  const heads = [`Host: ${host}`, ...fields].flatMap((field) => ["-H", field]);
  const command = [...within, ...pinned(["wrk", ...counts, ...heads, url])];
  return Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
}

/** What wrk says at its end. */
export async function readWrk(output: ReadableStream): Promise<LoadResult> {
  const text = await new Response(output).text();
  const field = (pattern: RegExp): string => pattern.exec(text)?.[1] ?? "0";
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(
    text,
  );
  return {
    requests: Number(field(/(\d+) requests in/)),
    perSecond: Number(field(/Requests\/sec:\s+([\d.]+)/)),
    p50Ms: milliseconds(field(/50%\s+(\S+)/)),
    p99Ms: milliseconds(field(/99%\s+(\S+)/)),
    errors:
      Number(field(/Non-2xx or 3xx responses: (\d+)/)) +
      (socketErrors?.slice(1).reduce((sum, n) => sum + Number(n), 0) ?? 0),
  };
}

/** One run of wrk. */
export async function wrk(load: Load): Promise<LoadResult> {
  return await readWrk(spawnWrk(load).stdout);
}

export interface Sample extends LoadResult {
  /** Processor time of the proxy for one request. */
  readonly cpuMicros: number;
}

/** One measured run against a proxy. */
export async function sample(pid: number, load: Load): Promise<Sample> {
  const before = cpuMicros(pid);
  const result = await wrk(load);
  const used = cpuMicros(pid) - before;
  return { ...result, cpuMicros: result.requests === 0 ? Number.NaN : used / result.requests };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Between two values, the line between them. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const below = Math.floor(at);
  const low = sorted[below] ?? Number.NaN;
  return low + ((sorted[below + 1] ?? low) - low) * (at - below);
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

function milliseconds(text: string): number {
  const value = Number.parseFloat(text);
  if (text.endsWith("us")) return value / 1000;
  if (text.endsWith("ms")) return value;
  return value * 1000;
}
