/**
 * All objects in force, from the store and from files, held in memory. A key that is in a file
 * belongs to the file: nobody changes it through the API.
 */
import type { Problem } from "../core/problem.ts";
import { type Config, configKey } from "../model/config.ts";
import { compare } from "./order.ts";
import type { ReadOnlyStore, Store, StoredConfig, StoreEvent, StoreKey } from "./store/store.ts";

export class Configuration {
  readonly store: Store;
  readonly #files: ReadOnlyStore | undefined;
  readonly #stored: Map<StoreKey, StoredConfig>;
  readonly #stop: () => void;
  readonly #onChange: () => void;
  #revision: number;
  #byFile: ReadonlyMap<StoreKey, StoredConfig>;

  static async open(
    store: Store,
    files: ReadOnlyStore | undefined,
    onChange: () => void,
  ): Promise<Configuration> {
    return new Configuration(store, files, await store.list(), onChange);
  }

  private constructor(
    store: Store,
    files: ReadOnlyStore | undefined,
    listed: Awaited<ReturnType<Store["list"]>>,
    onChange: () => void,
  ) {
    this.store = store;
    this.#files = files;
    this.#onChange = onChange;
    this.#revision = listed.revision;
    this.#stored = byKey(listed.objects);
    this.#byFile = byKey(files?.list() ?? []);
    this.#stop = store.watch(listed.revision, (events) => this.#apply(events));
    files?.onChange(() => {
      this.#byFile = byKey(files.list());
      onChange();
    });
  }

  get revision(): number {
    return this.#revision;
  }

  /** What is wrong with the files, now. */
  get problems(): readonly Problem[] {
    const hidden = [...this.#byFile].flatMap(([key, { config }]): Problem[] => {
      const stored = this.#stored.get(key);
      if (stored === undefined) return [];
      const message = `${key} is also stored, at revision ${stored.revision}: this file is used`;
      return [{ severity: "warning", position: config.origin, path: "metadata.name", message }];
    });
    return [...(this.#files?.problems() ?? []), ...hidden];
  }

  get(key: StoreKey): StoredConfig | undefined {
    return this.#byFile.get(key) ?? this.#stored.get(key);
  }

  /** The file that an object belongs to, if it does to one. */
  fileOf(key: StoreKey): string | undefined {
    return this.#byFile.get(key)?.config.origin.file;
  }

  /** By rising key. */
  list(): readonly StoredConfig[] {
    return [...new Map([...this.#stored, ...this.#byFile])]
      .sort(([a], [b]) => compare(a, b))
      .map(([, stored]) => stored);
  }

  configs(): readonly Config[] {
    return this.list().map(({ config }) => config);
  }

  async close(): Promise<void> {
    this.#stop();
    this.#files?.close();
    await this.store.close();
  }

  #apply(events: readonly StoreEvent[]): void {
    for (const { key, stored, revision } of events) {
      if (stored === undefined) this.#stored.delete(key);
      else this.#stored.set(key, stored);
      this.#revision = Math.max(this.#revision, revision);
    }
    this.#onChange();
  }
}

function byKey(objects: readonly StoredConfig[]): Map<StoreKey, StoredConfig> {
  return new Map(objects.map((stored) => [configKey(stored.config), stored]));
}
