/** The generated code is what proto/ says: generated anew, nothing differs. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dir, "..", "..");

test("src/api/gen is what `bun run generate` makes of proto/", () => {
  const out = mkdtempSync(join(tmpdir(), "mesh-gen-"));
  try {
    const run = Bun.spawnSync(
      [join(root, "node_modules", ".bin", "buf"), "generate", "--output", join(out, "proto")],
      { cwd: join(root, "proto"), stderr: "pipe" },
    );
    expect(run.stderr.toString()).toBe("");
    expect(files(join(out, "src", "api", "gen"))).toEqual(files(join(root, "src", "api", "gen")));
  } finally {
    rmSync(out, { recursive: true });
  }
}, 60_000);

function files(directory: string): Record<string, string> {
  const paths = [...new Bun.Glob("**/*.ts").scanSync(directory)].sort();
  return Object.fromEntries(paths.map((p) => [p, readFileSync(join(directory, p), "utf8")]));
}
