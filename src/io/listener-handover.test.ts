/** Processes that follow one another on one port while clients keep connecting. */
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { libc } from "./libc.ts";
import { FIXTURE } from "./listener-handover.fixture.ts";
import { offerListeners, takeListeners } from "./listener-handover.ts";
import { localAddressOf } from "./socket-address.ts";
import { listenTcp } from "./tcp-listener.ts";

const directory = mkdtempSync(join(tmpdir(), "handover-"));
const processes: Bun.Subprocess[] = [];
afterEach(() => {
  for (const one of processes.splice(0)) one.kill("SIGKILL");
});
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));

interface Server {
  readonly process: Bun.Subprocess;
  readonly port: number;
}

async function start(path: string, port: number, name: string): Promise<Server> {
  const one = Bun.spawn([process.execPath, FIXTURE, path, String(port), name], {
    stdout: "pipe",
    stderr: "inherit",
  });
  processes.push(one);
  const { value } = await one.stdout.getReader().read();
  return { process: one, port: Number(new TextDecoder().decode(value)) };
}

/** One short connection; resolves with who answered, or how it failed. */
function ask(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        open: (socket) => void socket.write("hello\n"),
        data: (_socket, bytes) => {
          text += bytes.toString();
        },
        close: () => resolve(text === "" ? "no answer" : text.trim()),
        connectError: () => resolve("refused"),
      },
    }).catch(() => resolve("refused"));
  });
}

test("thousands of short connections across three restarts, and none fails", async () => {
  if (libc() === undefined) return;
  const path = join(directory, "restarts.sock");
  let server = await start(path, 0, "0");
  const { port } = server;
  const answers = new Map<string, number>();
  let stopping = false;
  const client = async (): Promise<void> => {
    while (!stopping) {
      const answer = await ask(port);
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  };
  const clients = Array.from({ length: 32 }, client);
  for (const name of ["1", "2", "3"]) {
    const next = await start(path, port, name);
    expect(await server.process.exited).toBe(0);
    expect(existsSync(path)).toBe(true);
    server = next;
    const before = answers.get(name) ?? 0;
    while ((answers.get(name) ?? 0) < before + 300) await Bun.sleep(5);
  }
  stopping = true;
  await Promise.all(clients);
  expect([...answers.keys()].sort()).toEqual(["0", "1", "2", "3"]);
  expect([...answers.values()].reduce((a, b) => a + b)).toBeGreaterThan(1_500);
}, 30_000);

test("without a predecessor there is nothing to take; a stale file does no harm", async () => {
  const path = join(directory, "none.sock");
  expect(await takeListeners(path, 100)).toBeUndefined();
  await Bun.write(path, "");
  expect(await takeListeners(path, 100)).toBeUndefined();
  const offer = offerListeners({ path, listeners: () => [], onTaken() {} });
  expect(await takeListeners(path, 1_000)).toBeDefined();
  offer.close();
  expect(existsSync(path)).toBe(false);
});

test("a successor that gives up leaves the predecessor as it was", async () => {
  if (libc() === undefined) return;
  const path = join(directory, "gives-up.sock");
  let taken = 0;
  const listener = listenTcp<undefined>(
    { hostname: "127.0.0.1", port: 0 },
    {
      open(socket) {
        socket.write(Buffer.from("here\n"), 0, 5);
        socket.end();
      },
      data() {},
      drain() {},
      end() {},
      close() {},
    },
  );
  const offer = offerListeners({
    path,
    listeners: () => [{ name: "main", fd: listener.fd }],
    onTaken: () => taken++,
  });
  const handover = await takeListeners(path, 1_000);
  expect([...(handover?.listeners.keys() ?? [])]).toEqual(["main"]);
  handover?.discard();
  for (let i = 0; i < 20; i++) expect(await ask(listener.port)).toBe("here");
  const second = await takeListeners(path, 1_000);
  const unused = second?.listeners.get("main");
  await second?.complete();
  expect(localAddressOf(unused!)).toBeUndefined();
  expect(taken).toBe(1);
  expect(await takeListeners(path, 1_000)).toBeUndefined();
  offer.close();
  listener.stop();
});
