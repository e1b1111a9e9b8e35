/** Flags that nobody has, each with the one that may have been meant. */
import { nearest } from "./suggestion.ts";

export function unknownFlags(argv: readonly string[], known: readonly string[]): string[] {
  return argv
    .filter((word) => word.startsWith("--") && word.length > 2)
    .map((word) => word.slice(2).split("=")[0] ?? "")
    .filter((name) => !known.includes(name))
    .map((name) => {
      const near = nearest(name, known);
      return `--${name}: no such flag${near === undefined ? "" : `; did you mean --${near}?`}`;
    });
}
