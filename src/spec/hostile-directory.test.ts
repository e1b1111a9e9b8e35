/**
 * The binary is started wherever somebody happens to be: in a folder of a stranger nothing of it is
 * run, and nothing of it changes what the binary does.
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Stage } from "./process.ts";

const stage = new Stage();
afterAll(() => stage.close());

const marker = join(stage.directory, "was-here");
const evil = `require("node:fs").writeFileSync(${JSON.stringify(marker)}, "ran");`;

/** What Bun, or Node, would take from the folder it is started in. */
const traps: Readonly<Record<string, string>> = {
  ".env":
    "MESH_MANAGER=http://127.0.0.1:1\nMESH_STATE_DIR=evil-state\nBUN_OPTIONS=--preload ./e.js\n",
  ".env.local": "MESH_MANAGER=http://127.0.0.1:1\n",
  ".env.production": "MESH_MANAGER=http://127.0.0.1:1\n",
  "bunfig.toml":
    'preload = ["./e.js"]\n[test]\npreload = ["./e.js"]\n[run]\npreload = ["./e.js"]\n',
  "e.js": evil,
  "index.js": evil,
  "main.ts": evil,
  "package.json": JSON.stringify({ main: "e.js", scripts: { proxy: "node e.js" }, type: "module" }),
  "tsconfig.json": '{"compilerOptions":{"paths":{"*":["./e.js"]}}}',
  "node_modules/hono/index.js": evil,
  "node_modules/hono/package.json": '{"name":"hono","main":"index.js"}',
  "node_modules/yaml/index.js": evil,
  "node_modules/yaml/package.json": '{"name":"yaml","main":"index.js"}',
  "src/main.ts": evil,
};
for (const [name, text] of Object.entries(traps)) stage.file(name, text);

test.each([
  ["version", ["version"], 0],
  ["ctl version", ["ctl", "version", "--client"], 0],
  ["ctl validate", ["ctl", "validate", "-f", "rule.yaml"], 0],
] as const)("mesh %s runs nothing of it", async (_name, args, code) => {
  stage.file("rule.yaml", "type: route-rule\nname: a\nspec:\n  destination: a.default\n");
  const { child, output } = stage.mesh(args);
  await child.exited;
  expect({ ran: existsSync(marker), code: child.exitCode, output: output() }).toMatchObject({
    ran: false,
  });
  if (args[0] === "version") expect(child.exitCode).toBe(code);
});

test("a manager and a proxy run on what they were told, not on the folder's .env", async () => {
  const none = "127.0.0.1:0";
  const manager = stage.mesh([
    ...["manager", "--in-memory", "--listen", none, "--http", "off", "--metrics", "off"],
  ]);
  await until(() => manager.output().includes("ready"));
  const proxy = stage.mesh([
    ...["proxy", "--manager", "none", "--upstream", "a=127.0.0.1:1", "--outbound", none],
    ...["--inbound", none, "--admin", none, "--readiness", none],
    ...["--state-dir", join(stage.directory, "state")],
  ]);
  await until(() => proxy.output().includes("ready"));
  expect(existsSync(marker)).toBe(false);
  expect(existsSync(join(stage.directory, "evil-state"))).toBe(false);
  expect(proxy.output()).not.toContain("127.0.0.1:1 ");
}, 30_000);

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 1_000) throw new Error("it never came to be");
    await Bun.sleep(10);
  }
}
