/**
 * Builds dist/mesh: one executable with everything in it.
 *
 * The flags are part of the design. esm, because bytecode defaults to cjs and then holds paths of
 * the building machine; splitting with lazy imports, so that a mode loads only its own code; and no
 * autoload, because an executable that reads .env or bunfig.toml from wherever it is started runs
 * code that is not its own.
 */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";

const root = import.meta.dir;
const outfile = join(root, "dist", "mesh");
mkdirSync(join(root, "dist"), { recursive: true });

const flags = [
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  "--splitting",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
];
/** A Worker is started by the name of its own entry; see src/proxy/worker/worker-thread.ts. */
const entries = ["src/main.ts", "src/proxy/worker/worker-entry.ts"];
const build = Bun.spawnSync(
  [process.execPath, "build", ...flags, ...entries, "--outfile", outfile],
  { cwd: root, stdout: "pipe", stderr: "inherit" },
);
if (!build.success) process.exit(build.exitCode || 1);
console.log(`${outfile} ${(statSync(outfile).size / 1e6).toFixed(1)} MB`);
