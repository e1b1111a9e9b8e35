/** Configuration that ends with the process: for `--standalone`, demos and tests. */
import type { Clock } from "../../core/clock.ts";
import { type Config, configKey } from "../../model/config.ts";
import { compare } from "../order.ts";
import type {
  CommitResult,
  Conflict,
  HistoryEntry,
  Store,
  StoreChange,
  StoredConfig,
  StoreEvent,
  StoreKey,
} from "./store.ts";
import { Watchers } from "./watchers.ts";

/** Changes that are remembered; a mesh that changes each second must not grow for ever. */
const HISTORY_MAX = 1_000;

interface Entry extends HistoryEntry {
  readonly event: StoreEvent;
}

export class MemoryStore implements Store {
  readonly #clock: Clock;
  readonly #objects = new Map<StoreKey, StoredConfig>();
  readonly #log: Entry[] = [];
  readonly #watchers = new Watchers();
  #revision = 0;
  /** The newest revision of which a change is no longer remembered. */
  #forgotten = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async get(key: StoreKey): Promise<StoredConfig | undefined> {
    return this.#objects.get(key);
  }

  async list(): Promise<{ revision: number; objects: readonly StoredConfig[] }> {
    const objects = [...this.#objects.entries()].sort(([a], [b]) => compare(a, b));
    return { revision: this.#revision, objects: objects.map(([, stored]) => stored) };
  }

  async commit(changes: readonly StoreChange[], author: string): Promise<CommitResult> {
    const conflicts = changes.flatMap((change) => this.#conflictOf(change));
    if (conflicts.length > 0) return { ok: false, conflicts };
    const effective = changes.filter(
      (change) => "put" in change || this.#objects.has(change.delete),
    );
    if (effective.length === 0) return { ok: true, revision: this.#revision };
    const revision = ++this.#revision;
    const entries = effective.map((change) => this.#entryOf(change, revision, author));
    for (const { event } of entries)
      if (event.stored === undefined) this.#objects.delete(event.key);
      else this.#objects.set(event.key, event.stored);
    this.#log.push(...entries);
    const excess = Math.max(0, this.#log.length - HISTORY_MAX);
    this.#forgotten = this.#log.splice(0, excess).at(-1)?.revision ?? this.#forgotten;
    this.#watchers.tell(entries.map(({ event }) => event));
    return { ok: true, revision };
  }

  async history(key: StoreKey, limit: number): Promise<readonly HistoryEntry[]> {
    const mine = this.#log.filter(({ event }) => event.key === key);
    return mine.reverse().slice(0, limit);
  }

  watch(from: number, onEvents: (events: readonly StoreEvent[]) => void): () => void {
    if (from < this.#forgotten) throw new Error(`changes after ${from} are forgotten`);
    const past = this.#log.filter(({ revision }) => revision > from).map(({ event }) => event);
    if (past.length > 0) onEvents(past);
    return this.#watchers.add(onEvents);
  }

  async close(): Promise<void> {
    this.#watchers.clear();
  }

  #conflictOf(change: StoreChange): Conflict[] {
    const key = "put" in change ? configKey(change.put) : change.delete;
    const actual = this.#objects.get(key)?.revision ?? 0;
    const { expected = actual } = change;
    return expected === actual ? [] : [{ key, expected, actual }];
  }

  #entryOf(change: StoreChange, revision: number, author: string): Entry {
    const key = "put" in change ? configKey(change.put) : change.delete;
    const former = this.#objects.get(key);
    const timeMs = this.#clock.wallMs();
    const config: Config | undefined = "put" in change ? change.put : former?.config;
    if (config === undefined) throw new Error(`nothing is known of ${key}`);
    const stored =
      "put" in change
        ? { config, revision, createdMs: former?.createdMs ?? timeMs, updatedMs: timeMs, author }
        : undefined;
    return {
      revision,
      timeMs,
      author,
      change: stored === undefined ? "deleted" : former === undefined ? "created" : "updated",
      config,
      event: { revision, key, kind: config.kind, ...(stored !== undefined && { stored }) },
    };
  }
}
