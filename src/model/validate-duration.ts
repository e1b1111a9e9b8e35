/**
 * Spans of time as rules write them: "2.5s" (proto-JSON), "1m30s", "100ms" (Go). Exact in
 * nanoseconds, since "0.0000001s" has to be refused rather than rounded.
 */
import { parseDuration as parseSpan } from "../attribute/duration.ts";
import type { Complaint } from "./validate-name.ts";

export type Nanoseconds = bigint;

const ms = 1_000_000n;
const second = 1_000n * ms;
/** Undefined if it is not a duration, or does not fit 64 bits of nanoseconds. */
export function parseDuration(text: string): Nanoseconds | undefined {
  const value = parseSpan(text);
  return value === undefined ? undefined : BigInt(value);
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
