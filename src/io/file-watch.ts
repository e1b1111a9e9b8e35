/**
 * Tells when the files of a directory tree changed, whatever way they were changed: in place, by an
 * editor's rename, by the swap of a symbolic link (Kubernetes ConfigMap volumes), by the directory
 * itself coming and going.
 *
 * The truth is what stat says of all files, looked at once a second; the kernel's notifications
 * only make it look at once, since they miss what happens behind links and in replaced directories.
 */
import { type FSWatcher, readdirSync, type Stats, statSync, watch } from "node:fs";
import { join } from "node:path";

export interface FileWatch {
  close(): void;
}

export interface FileWatchOptions {
  /** Directories and single files; they need not exist yet. */
  readonly paths: readonly string[];
  /** Which names count: (name) => name.endsWith(".yaml"). Names with a leading dot never do. */
  readonly accepts: (name: string) => boolean;
  /** Quiet time to wait for before `onChange`; 50 unless told. */
  readonly settleMs?: number;
  /** How often to look without being notified; 1,000 unless told. */
  readonly pollMs?: number;
  /** Something changed; read again. */
  readonly onChange: () => void;
}

const SETTLE_MS = 50;
const POLL_MS = 1_000;
/** Deeper nothing is watched. */
const DEPTH_MAX = 8;

/** What is there now is known; only changes from here on count. */
export function watchFiles(options: FileWatchOptions): FileWatch {
  return new Watching(options);
}

class Watching implements FileWatch {
  readonly #options: FileWatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  /** As of the last `onChange`. */
  #told: string;
  /** As of the last look. */
  #seen: string;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    this.#seen = this.#look();
    this.#told = this.#seen;
    this.#lookIn(this.#pollMs);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  get #pollMs(): number {
    return this.#options.pollMs ?? POLL_MS;
  }

  #lookIn(ms: number): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), ms);
  }

  /** Tells a change once two looks, `settleMs` apart, have found the same. */
  #check(): void {
    const now = this.#look();
    const isSettled = now === this.#seen;
    this.#seen = now;
    if (now === this.#told) return this.#lookIn(this.#pollMs);
    if (!isSettled) return this.#lookIn(this.#options.settleMs ?? SETTLE_MS);
    this.#told = now;
    this.#lookIn(this.#pollMs);
    this.#options.onChange();
  }

  /** One line for each file that counts; equal text means equal files. */
  #look(): string {
    const found: Found = { lines: [], directories: new Set(), visited: new Set() };
    for (const path of this.#options.paths) {
      const stats = statOf(path);
      if (stats?.isDirectory()) {
        // An empty directory is not the same as none.
        found.lines.push(path);
        this.#walk(path, stats, 0, found);
      } else if (stats !== undefined) found.lines.push(lineOf(path, stats));
    }
    this.#watch(found.directories);
    return found.lines.join("\n");
  }

  #walk(path: string, own: Stats, depth: number, found: Found): void {
    const identity = `${own.dev}:${own.ino}`;
    if (found.visited.has(identity)) return;
    found.visited.add(identity);
    found.directories.add(path);
    for (const name of namesIn(path)) {
      if (name.startsWith(".")) continue;
      const child = join(path, name);
      const stats = statOf(child);
      if (stats === undefined) continue;
      if (stats.isFile() && this.#options.accepts(name)) found.lines.push(lineOf(child, stats));
      else if (stats.isDirectory() && depth < DEPTH_MAX) this.#walk(child, stats, depth + 1, found);
    }
  }

  #watch(directories: ReadonlySet<string>): void {
    for (const [path, watcher] of this.#watchers) {
      if (directories.has(path)) continue;
      watcher.close();
      this.#watchers.delete(path);
    }
    for (const path of directories) {
      if (this.#watchers.has(path)) continue;
      try {
        const watcher = watch(path, () => this.#lookIn(this.#options.settleMs ?? SETTLE_MS));
        watcher.on("error", () => this.#watchers.delete(path));
        this.#watchers.set(path, watcher);
      } catch {
        // No notifications here (a limit of the system); looking once a second finds it too.
      }
    }
  }
}

interface Found {
  readonly lines: string[];
  readonly directories: Set<string>;
  /** A link may lead to a directory that was walked already, or back up. */
  readonly visited: Set<string>;
}

type Timer = ReturnType<typeof setTimeout>;

function lineOf(path: string, stats: Stats): string {
  return `${path} ${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`;
}

/** Follows links; undefined: gone, or not for us to see. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}
