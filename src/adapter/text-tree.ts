/**
 * Values by several texts each, one level a text: finding one joins nothing and copies nothing. For
 * what is found on every request, beside the place where it is kept.
 */
interface Level<T> {
  below: Map<string, Level<T>> | undefined;
  value: T | undefined;
}

/** Longer texts come from traffic, and are not worth keeping twice. */
const TEXT_MAX = 256;

export class TextTree<T> {
  #root: Level<T> = { below: undefined, value: undefined };

  clear(): void {
    this.#root = { below: undefined, value: undefined };
  }

  find(texts: readonly string[]): T | undefined {
    let level: Level<T> | undefined = this.#root;
    for (let i = 0; i < texts.length && level !== undefined; i++)
      level = level.below?.get(texts[i]!);
    return level?.value;
  }

  remember(texts: readonly string[], value: T): void {
    if (texts.some((text) => text.length > TEXT_MAX)) return;
    let level = this.#root;
    for (const text of texts) {
      level.below ??= new Map();
      const next: Level<T> = level.below.get(text) ?? { below: undefined, value: undefined };
      level.below.set(text, next);
      level = next;
    }
    level.value = value;
  }
}
