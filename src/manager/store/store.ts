/**
 * Where configuration lives. A commit changes several objects or none; every change has a revision,
 * an author, a time and the form before it, so that a rollback is one more commit.
 *
 * Revisions only grow. What a commit returned is on disk, where the store has one.
 */
import type { Problem } from "../../core/problem.ts";
import type { Config, ConfigKind } from "../../model/config.ts";

/** "RouteRule/default/reviews-canary" */
export type StoreKey = string;

export interface StoredConfig {
  readonly config: Config;
  /** Of the store, at the last change of this object. */
  readonly revision: number;
  readonly createdMs: number;
  readonly updatedMs: number;
  readonly author: string;
}

export type StoreChange =
  | {
      readonly put: Config;
      /** The revision that it replaces; 0: none may exist; absent: whatever is there. */
      readonly expected?: number;
    }
  | { readonly delete: StoreKey; readonly expected?: number };

export type CommitResult =
  | { readonly ok: true; readonly revision: number }
  | { readonly ok: false; readonly conflicts: readonly Conflict[] };

/** What another change did meanwhile, or a store that cannot be written. */
export interface Conflict {
  readonly key: StoreKey;
  readonly expected: number;
  /** 0: it does not exist. */
  readonly actual: number;
}

export interface HistoryEntry {
  readonly revision: number;
  readonly timeMs: number;
  readonly author: string;
  readonly change: "created" | "updated" | "deleted";
  /** The form that this change made; of a deletion, the last before it. */
  readonly config: Config;
}

export interface StoreEvent {
  readonly revision: number;
  readonly key: StoreKey;
  readonly kind: ConfigKind;
  /** Absent: deleted. */
  readonly stored?: StoredConfig;
}

export interface Store {
  get(key: StoreKey): Promise<StoredConfig | undefined>;
  /** By rising key, at one revision. */
  list(): Promise<{ readonly revision: number; readonly objects: readonly StoredConfig[] }>;
  commit(changes: readonly StoreChange[], author: string): Promise<CommitResult>;
  /** Newest first. */
  history(key: StoreKey, limit: number): Promise<readonly HistoryEntry[]>;
  /** Every change after `from`, past ones first; the returned function ends it. */
  watch(from: number, onEvents: (events: readonly StoreEvent[]) => void): () => void;
  close(): Promise<void>;
}

/** A store that only reads, and what is wrong with what it read. */
export interface ReadOnlyStore {
  list(): readonly StoredConfig[];
  problems(): readonly Problem[];
  onChange(listener: () => void): void;
  close(): void;
}
