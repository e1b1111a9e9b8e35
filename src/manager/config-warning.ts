/** What is said of an object that is well formed, at the field of its spec that it is about. */
import type { Problem } from "../core/problem.ts";
import type { Config } from "../model/config.ts";

export function warning({ origin, fields }: Config, path: string, message: string): Problem {
  const [, field = ""] = /^spec\.(\w+)/.exec(path) ?? [];
  return { severity: "warning", position: fields?.[field] ?? origin, path, message };
}
