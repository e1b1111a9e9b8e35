/**
 * Gives memory back that starting or compiling needed and serving does not: garbage, and pages of
 * our own executable. The latter are clean copies of a file; what is still used comes back from the
 * page cache with a minor fault.
 */
import { readFileSync } from "node:fs";
import { libc } from "./libc.ts";

const MADV_DONTNEED = 4;

/** One line of /proc/PID/maps: "range perms offset device inode path". */
const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) [0-9a-f]+ \S+ \d+\s+(.*)$/;

/** Permissions of code and of constants. */
const CLEAN: ReadonlySet<string> = new Set(["r-xp", "r--p"]);

/** Of this thread. */
export function collectGarbage(): void {
  Bun.gc(true);
}

/** Takes tens of milliseconds: for a time when nothing waits. */
export function giveMemoryBack(): void {
  collectGarbage();
  for (const { start, length } of cleanMappings()) libc()?.madvise(start, length, MADV_DONTNEED);
}

interface Mapping {
  readonly start: bigint;
  readonly length: bigint;
}

/**
 * Code and constants of executables and libraries, of which this process has changed no page: a
 * changed one is not in the file and would be lost.
 */
function cleanMappings(): Mapping[] {
  if (libc() === undefined) return [];
  const found: Mapping[] = [];
  let current: Mapping | undefined;
  for (const line of readFileSync("/proc/self/smaps", "latin1").split("\n")) {
    const head = MAPPING.exec(line);
    if (head !== null) {
      const start = BigInt(`0x${head[1]}`);
      const isClean = CLEAN.has(head[3]!) && head[4]!.startsWith("/");
      current = isClean ? { start, length: BigInt(`0x${head[2]}`) - start } : undefined;
    } else if (current !== undefined && line.startsWith("Anonymous:")) {
      if (/ 0 kB$/.test(line)) found.push(current);
      current = undefined;
    }
  }
  return found;
}
