/** How many files and sockets this process may have open, as the system says. */
import { readFileSync } from "node:fs";

/** The limit in force (Bun raises it to the hard one at start); Infinity: none, or not known. */
export function descriptorLimit(): number {
  let limits: string;
  try {
    limits = readFileSync("/proc/self/limits", "latin1");
  } catch {
    return Number.POSITIVE_INFINITY;
  }
  const soft = /^Max open files +(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}
