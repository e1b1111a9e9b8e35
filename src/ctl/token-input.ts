/** What commands about tokens and certificates read alike. */
import { WorkloadMode } from "../api/gen/mesh/v1/identity_pb.ts";
import { parseDuration } from "../attribute/duration.ts";
import { usageError } from "./command.ts";

const NS_PER_MS = 1e6;
const DAY_MS = 86_400_000;

/** "90m", "24h", "30d". */
export function durationMs(flag: string, text: string): number {
  const days = /^(\d{1,4})d$/.exec(text)?.[1];
  if (days !== undefined) return Number(days) * DAY_MS;
  const ns = parseDuration(text);
  if (ns === undefined || Number(ns) < 0)
    throw usageError(`--${flag} ${JSON.stringify(text)} is no duration`, "as in 90m, 24h or 30d");
  return Number(ns) / NS_PER_MS;
}

/** Rounded up, so that what is not nothing does not become it: 0 means something else there. */
export function durationSeconds(flag: string, text: string): number {
  return Math.ceil(durationMs(flag, text) / 1_000);
}

/** "app=reviews,version=v1", as given to a proxy. */
export function labelsOf(texts: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const pair of texts.flatMap((text) => text.split(","))) {
    const [, key, value = ""] = /^([^=\s]+)=(.*)$/.exec(pair.trim()) ?? [];
    if (key === undefined) throw usageError(`--labels: ${JSON.stringify(pair)} is not KEY=VALUE`);
    if (Object.hasOwn(labels, key)) throw usageError(`--labels: ${key} is given twice`);
    labels[key] = value;
  }
  return labels;
}

/** Of a manager that knows no modes, too. */
export function modeText(mode: WorkloadMode): "gateway" | "sidecar" {
  return mode === WorkloadMode.GATEWAY ? "gateway" : "sidecar";
}

/** The one id that `revoke` names. */
export function idToRevoke(rest: readonly string[]): string {
  const [id, more] = rest;
  if (id === undefined || more !== undefined)
    throw usageError("revoke which? name one ID, as list shows it");
  return id;
}

/** "in 3h", "2d ago"; empty for never. */
export function whenText(ms: bigint, nowMs: number): string {
  if (ms === 0n) return "never";
  const differenceMs = Number(ms) - nowMs;
  const text = spanText(Math.abs(differenceMs));
  return differenceMs >= 0 ? `in ${text}` : `${text} ago`;
}

/** "40s", "12m", "5h", "8d", "9y". */
function spanText(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}h`;
  const days = Math.floor(seconds / 86_400);
  return days < 730 ? `${days}d` : `${Math.floor(days / 365)}y`;
}
