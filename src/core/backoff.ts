/**
 * How long to wait before the n-th try: doubles from `baseMs` up to `maxMs`, with full jitter over
 * the upper half, so that many waiters do not come back together.
 */
import type { Random } from "./random.ts";

export function backoffMs(attempt: number, baseMs: number, maxMs: number, random: Random): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return ceiling / 2 + (random() * ceiling) / 2;
}
