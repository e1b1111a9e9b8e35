/** What something wrote to a file that it was told to write to. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function captureLines(write: (path: string) => void): string {
  const folder = mkdtempSync(join(tmpdir(), "lines-"));
  const path = join(folder, "lines");
  try {
    write(path);
    return readFileSync(path, "utf8");
  } finally {
    rmSync(folder, { recursive: true });
  }
}
