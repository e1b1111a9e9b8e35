/** The README's shell examples do what it says, line by line, on the ports it names. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { root, Stage } from "./process.ts";

const stage = new Stage();
afterAll(() => stage.close());

const web = `require("http").createServer((q, r) => r.end("hello from web\\n")).listen(8000);`;

/** After a line that starts something, what it started must be there before the next line. */
const ready: readonly (readonly [started: RegExp, condition: string])[] = [
  [/mesh manager/, "dist/mesh ctl services"],
  [/mesh proxy/, "curl -sf --proxy 127.0.0.1:15001 http://web:8000/"],
];

/** The examples use the ports that people see in pages and dashboards everywhere. */
const taken = [8000, 8080, 15000, 15001, 15006, 15010, 15014, 15021].filter(isTaken);
if (taken.length > 0) console.log(`ports ${taken.join(", ")} are taken: not run`);

test.skipIf(taken.length > 0 && process.env.CI !== "true")(
  "the mesh by hand",
  async () => {
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const block = /```sh\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
    const lines = block.trim().split("\n");
    expect(lines.length).toBeGreaterThan(4);
    const script = lines.flatMap((line) => {
      const condition = ready.find(([started]) => started.test(line))?.[1];
      if (condition === undefined || !/&\s*(#|$)/.test(line)) return [line];
      return [
        line,
        `for i in $(seq 100); do ${condition} >/dev/null 2>&1 && break; sleep 0.1; done`,
      ];
    });
    stage.file("web.js", web);
    for (const name of ["dist", "rules"])
      symlinkSync(join(root, name), join(stage.directory, name));
    const end = "trap 'kill $(jobs -p); wait' EXIT";
    const path = stage.file("by-hand.sh", ["set -e", end, ...script].join("\n"));
    const running = stage.run(["bash", path], {
      HOME: stage.directory,
      XDG_STATE_HOME: stage.directory,
    });
    const code = await running.child.exited;
    const output = running.output();
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toContain("hello from web");
    expect(output).toContain("route-rule/default/reviews-default");
    expect(output).toMatch(/web\.default +\S+ +1\/1/);
    expect(output).toMatch(/web\.default +.*synced/);
  },
  60_000,
);

function isTaken(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return false;
  } catch {
    return true;
  }
}
