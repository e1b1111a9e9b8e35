/** A config ─▶ its document in the canonical spelling of its kind, for `get -o yaml`. */
import type { Config } from "../model/config.ts";

/** The spec as proto-JSON (camelCase, durations "2.5s"), defaults left out. */
export function specJson(config: Config): Readonly<Record<string, unknown>> {
  void config;
  return {};
}

/** A YAML document that reads back to an equal config. */
export function formatConfig(config: Config): string {
  return config.text;
}
