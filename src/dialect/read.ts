/**
 * Text that an operator wrote ─▶ configs and problems. Every dialect, many documents, all problems
 * at once, each with its position; a document with an error yields no config and hurts no other.
 */
import type { Problem } from "../core/problem.ts";
import type { Config } from "../model/config.ts";

export interface ReadOptions {
  /** For positions only; the text is given. */
  readonly file: string;
  /** Of documents that name none. */
  readonly namespace: string;
  /** Appended to short names as ".svc.<domain>". */
  readonly domain?: string;
}

export interface ReadResult {
  readonly configs: readonly Config[];
  readonly problems: readonly Problem[];
}

export function readDocuments(text: string, options: ReadOptions): ReadResult {
  void text;
  void options;
  return { configs: [], problems: [] };
}
