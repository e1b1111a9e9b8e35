/** The limit that a process was started with. */
import { expect, test } from "bun:test";
import { join } from "node:path";

test("the limit of open files is the one that the process was started with", () => {
  const module = join(import.meta.dir, "descriptor-limit.ts");
  const script = `console.log((await import(${JSON.stringify(module)})).descriptorLimit())`;
  const shell = 'ulimit -n 333 && exec "$0" -e "$1"';
  const { stdout } = Bun.spawnSync(["sh", "-c", shell, process.execPath, script]);
  expect(stdout.toString()).toBe("333\n");
});
