/** The demo's own directory below the system's temporary one. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const DIRECTORY_PREFIX = "mesh-demo-";

export function makeDirectory(): string {
  return mkdtempSync(join(tmpdir(), DIRECTORY_PREFIX));
}
