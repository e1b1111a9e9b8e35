/** The application that a proxy runs, as its operator sees it from outside. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../core/clock.ts";
import { Application, applicationEnvironment } from "./application.ts";

const directory = mkdtempSync(join(tmpdir(), "application-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function application(command: readonly string[], wrapper: readonly string[] = []): Application {
  return new Application({ command, environment: process.env, wrapper, clock: systemClock });
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${condition}`);
    await Bun.sleep(2);
  }
}

test.each([
  ["exit 0", 0],
  ["exit 7", 7],
  ["kill -TERM $$", 143],
  ["kill -KILL $$", 137],
  ["kill -INT $$", 130],
])("sh -c '%s' ends with %i", async (script, code) => {
  const app = application(["sh", "-c", script]);
  expect(app.start()).toBeUndefined();
  expect(await app.exited).toBe(code);
  expect(app.running).toBe(false);
});

test("a command that is not there ends with 127, as in a shell", async () => {
  const app = application(["no-such-command"]);
  expect(app.start()).toBe("no-such-command: no such command");
  expect(await app.exited).toBe(127);
});

test("a file that is no program ends with 126", async () => {
  const path = join(directory, "text");
  writeFileSync(path, "text", { mode: 0o644 });
  const app = application([path]);
  expect(app.start()).toContain("cannot be run");
  expect(await app.exited).toBe(126);
});

test.each(["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGTERM"] as const)(
  "%s is passed on",
  async (signal) => {
    const name = signal.slice(3);
    const ready = join(directory, name);
    const app = application([
      "sh",
      "-c",
      `trap 'exit 9' ${name}; touch ${ready}; while :; do sleep 0.01; done`,
    ]);
    app.start();
    await until(() => existsSync(ready));
    app.signal(signal);
    expect(await app.exited).toBe(9);
  },
);

test("stopping asks first; who does not listen is killed after the grace", async () => {
  const ready = join(directory, "deaf");
  const deaf = application(["sh", "-c", `trap '' TERM; touch ${ready}; exec sleep 60`]);
  deaf.start();
  await until(() => existsSync(ready));
  expect(await deaf.stop("SIGTERM", 50)).toBe(137);
  const polite = application(["sleep", "60"]);
  polite.start();
  expect(await polite.stop("SIGTERM", 5000)).toBe(143);
});

test("stopping what never started, or has ended, is no fault", async () => {
  expect(await application(["true"]).stop("SIGTERM", 10)).toBe(0);
  const ended = application(["sh", "-c", "exit 3"]);
  ended.start();
  await ended.exited;
  expect(await ended.stop("SIGTERM", 10)).toBe(3);
});

test("calls by name go through the proxy, calls to itself do not", () => {
  const outbound = { hostname: "127.0.0.1", port: 4711 };
  const environment = applicationEnvironment({ PORT: "9080", NO_PROXY: "reviews" }, outbound);
  expect(environment).toEqual({
    PORT: "9080",
    HTTP_PROXY: "http://127.0.0.1:4711",
    http_proxy: "http://127.0.0.1:4711",
    HTTPS_PROXY: "http://127.0.0.1:4711",
    https_proxy: "http://127.0.0.1:4711",
    grpc_proxy: "http://127.0.0.1:4711",
    NO_PROXY: "localhost,127.0.0.1,::1,169.254.169.254",
    no_proxy: "localhost,127.0.0.1,::1,169.254.169.254",
    MESH_OUTBOUND: "127.0.0.1:4711",
  });
});

test("the way out for HTTPS that an operator has set stays, and gRPC goes through the mesh", () => {
  const outbound = { hostname: "127.0.0.1", port: 4711 };
  const own = { https_proxy: "http://proxy.corp:3128" };
  expect(applicationEnvironment(own, outbound)).toMatchObject({
    HTTP_PROXY: "http://127.0.0.1:4711",
    HTTPS_PROXY: "http://proxy.corp:3128",
    https_proxy: "http://proxy.corp:3128",
    grpc_proxy: "http://127.0.0.1:4711",
  });
});

test.if(process.platform === "linux")(
  "an application dies with a proxy that is killed with SIGKILL",
  async () => {
    const pidFile = join(directory, "pid");
    const image = join(import.meta.dir, "..", "..", "io", "process-image.ts");
    const shim = join(directory, "shim.ts");
    writeFileSync(
      shim,
      `import { becomeChildOf } from ${JSON.stringify(image)};
       becomeChildOf(Number(process.argv[2]), process.argv.slice(3));`,
    );
    const parent = join(directory, "parent.ts");
    const script = `echo $$ > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; exec sleep 60`;
    const command = ["sh", "-c", script];
    writeFileSync(
      parent,
      `Bun.spawn([process.execPath, ${JSON.stringify(shim)}, String(process.pid),
         ...${JSON.stringify(command)}], { stdio: ["ignore", "ignore", "ignore"] });
       await Bun.sleep(60_000);`,
    );
    const proxy = Bun.spawn([process.execPath, parent], { stdio: ["ignore", "ignore", "ignore"] });
    await until(() => existsSync(pidFile));
    const pid = Number(readFileSync(pidFile, "utf8"));
    expect(isAlive(pid)).toBe(true);
    proxy.kill("SIGKILL");
    await until(() => !isAlive(pid));
  },
);

/** Not a zombie that nobody has waited for. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
