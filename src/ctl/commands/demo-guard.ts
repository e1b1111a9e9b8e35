/**
 * `mesh ctl demo-guard`: outlives a demo that was killed, and tidies up after it. Reads one leader
 * of a process group a line from stdin; "done" says that nothing is left to do.
 */
import { existsSync, rmSync } from "node:fs";
import { basename } from "node:path";
import { defineCtlCommand, EXIT, usageError } from "../command.ts";
import { DIRECTORY_PREFIX } from "../demo/directory.ts";
import { killGroup } from "../demo/supervisor.ts";

const GRACE_MS = 3_000;

export const demoGuardCommand = defineCtlCommand({
  args: { directory: { type: "positional", description: "The demo's own directory" } },
  examples: [["mesh ctl demo-guard /tmp/mesh-demo-1", "as the demo starts it"]],
  async run(args, { io }) {
    // It is removed at the end, so it has to be one of ours.
    const directory = args.directory ?? "";
    if (!basename(directory).startsWith(DIRECTORY_PREFIX) || !existsSync(directory))
      throw usageError("not the directory of a demo");
    process.on("SIGINT", () => {});
    process.on("SIGTERM", () => {});
    const words = (await io.readStdin()).split("\n");
    if (words.includes("done")) return EXIT.ok;
    const leaders = words.map(Number).filter((pid) => Number.isInteger(pid) && pid > 1);
    for (const pid of leaders) killGroup(pid, "SIGTERM");
    await new Promise<void>((resolve) => io.clock.after(GRACE_MS, resolve));
    for (const pid of leaders) killGroup(pid, "SIGKILL");
    rmSync(directory, { recursive: true, force: true });
    return EXIT.ok;
  },
});
