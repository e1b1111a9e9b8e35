/**
 * Spans of time as rules write them: "2.5s" (proto-JSON), "1m30s", "100ms" (Go). Exact in
 * nanoseconds, since "0.0000001s" has to be refused rather than rounded.
 */
import type { Complaint } from "./validate-name.ts";

export type Nanoseconds = bigint;

const ms = 1_000_000n;
const second = 1_000n * ms;
const int64Max = 2n ** 63n - 1n;
const units: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  ms,
  s: second,
  m: 60n * second,
  h: 3_600n * second,
};

/** Undefined if it is not a duration, or does not fit 64 bits of nanoseconds. */
export function parseDuration(text: string): Nanoseconds | undefined {
  if (text.length > 64) return undefined;
  const negative = text.startsWith("-");
  const body = /^[-+]/.test(text) ? text.slice(1) : text;
  if (body === "0") return 0n;
  if (
    !/^(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))*$/.test(body)
  )
    return undefined;
  let sum = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of body.matchAll(
    /(\d*)(?:\.(\d*))?(ns|us|µs|ms|s|m|h)/g,
  )) {
    const scale = units[unit] ?? 1n;
    const digits = 10n ** BigInt(fraction.length);
    sum += BigInt(whole || "0") * scale + (BigInt(fraction || "0") * scale) / digits;
  }
  if (sum > int64Max) return undefined;
  return negative ? -sum : sum;
}

/** "2.5s": the one form that every era reads. */
export function formatDuration(milliseconds: number): string {
  return `${milliseconds / 1_000}s`;
}

export function toMs(duration: Nanoseconds): number {
  return Number(duration) / 1e6;
}

export function checkDuration(duration: Nanoseconds): Complaint {
  if (duration < ms) return "must be at least 1ms";
  return duration % ms === 0n ? undefined : "must be whole milliseconds";
}

function checkRange(duration: Nanoseconds, least: Nanoseconds, most: Nanoseconds): Complaint {
  const complaint = checkDuration(duration);
  if (complaint !== undefined) return complaint;
  if (duration >= least && duration <= most) return undefined;
  return `must be between ${formatDuration(toMs(least))} and ${formatDuration(toMs(most))}`;
}

/** How often a proxy asks for configuration: 1 s to 10 min. */
export function checkRefreshDelay(duration: Nanoseconds): Complaint {
  return checkRange(duration, second, 600n * second);
}

export function checkConnectTimeout(duration: Nanoseconds, most = 30n * second): Complaint {
  return checkRange(duration, ms, most);
}

export function checkDrainDuration(duration: Nanoseconds): Complaint {
  if (duration <= 0n) return "must be positive";
  if (duration % second !== 0n) return "must be whole seconds";
  return duration > 3_600n * second ? "must be at most 1h" : undefined;
}

/** Two phases of a hot restart: the parent leaves after it has drained. */
export function checkParentAndDrain(parent: Nanoseconds, drain: Nanoseconds): readonly string[] {
  const complaints: string[] = [];
  const of = (name: string, complaint: Complaint): void => {
    if (complaint !== undefined) complaints.push(`${name} ${complaint}`);
  };
  of("drain duration", checkDrainDuration(drain));
  of("parent shutdown duration", checkDrainDuration(parent));
  if (complaints.length === 0 && parent <= drain)
    complaints.push("parent shutdown duration must be longer than the drain duration");
  return complaints;
}
