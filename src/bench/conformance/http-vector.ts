/** Reading the fixtures of http/: base64 octets, and the labels of a strict intermediary. */
import { readFileSync } from "node:fs";

export type Must = "reject" | "forward-as-one" | "forward-separately" | "normalise" | "wait";

export interface Label {
  readonly must: Must;
  readonly also_allowed: readonly string[];
  readonly why: string;
  readonly tail?: "none" | "reject" | "wait" | "ignore";
  readonly status_hint?: number;
  readonly upstream_requests?: { readonly min: number; readonly max: number | null };
  readonly h2_preface?: boolean;
}

/** The whole file, of a shape that its suite knows. */
export function readVectors<T>(path: string): T {
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

export function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}

export function asText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
