/** Who wants to hear of changes. One that throws is our own mistake and ends the process. */
import type { StoreEvent } from "./store.ts";

export class Watchers {
  readonly #listeners = new Set<(events: readonly StoreEvent[]) => void>();

  add(listener: (events: readonly StoreEvent[]) => void): () => void {
    // A listener that is added twice hears twice, and is removed once.
    const entry = (events: readonly StoreEvent[]): void => listener(events);
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  tell(events: readonly StoreEvent[]): void {
    for (const listener of [...this.#listeners]) listener(events);
  }

  clear(): void {
    this.#listeners.clear();
  }
}
