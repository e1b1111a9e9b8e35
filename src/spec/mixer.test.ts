/**
 * Three proxies, two mixers and a Redis: what they share is counted once, and whatever happens to a
 * mixer or to the Redis, nothing hangs and nothing else is touched.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { type RedisServer, redisSkipped, startRedis } from "../testing/redis-server.ts";
import {
  get,
  type ManagerPorts,
  managerPorts,
  managerUrl,
  type Sidecar,
  startManager,
  startSidecar,
  status,
} from "./mesh.ts";
import { ctl, type Running, Stage, until } from "./process.ts";

const stage = new Stage();
const HOST = "reviews.default:9080";
const TIMEOUT_MS = 1_000;
let ports: ManagerPorts;
let manager: Running;
let redis: RedisServer;
let mixers: [Mixer, Mixer];
/** The first two ask the first mixer, the third the second. */
let proxies: Sidecar[];

interface Mixer {
  readonly running: Running;
  readonly port: number;
  readonly monitor: number;
}

beforeAll(async () => {
  if (redisSkipped) return;
  ports = managerPorts();
  manager = await startManager(stage, ports);
  redis = await startRedis();
  const [a, b, monitorA, monitorB] = freePorts(4);
  mixers = [await startMixer(a!, monitorA!), await startMixer(b!, monitorB!)];
  proxies = [];
  for (const mixer of [mixers[0], mixers[0], mixers[1]]) proxies.push(await startProxy(mixer.port));
  const file = stage.file("limits.yaml", rules(redis.port));
  const applied = await ctl("apply", "--manager", managerUrl(ports), "-f", file);
  expect({ code: applied.code, err: applied.err }).toEqual({ code: 0, err: "" });
  for (const { admin } of proxies)
    await until("the rules to be in force", async () => {
      const page = await (await fetch(`http://127.0.0.1:${admin}/policy`)).text();
      return page.includes("shared.rule.default::");
    });
}, 90_000);

afterAll(async () => {
  await stage.close();
  await redis?.stop();
});

async function startMixer(port: number, monitor: number): Promise<Mixer> {
  const running = stage.mesh([
    "mixer",
    ...["--listen", `127.0.0.1:${port}`, "--metrics", `127.0.0.1:${monitor}`],
    ...["--admin", "127.0.0.1:0"],
    ...["--manager", managerUrl(ports), "--id", `mixer-${port}`],
    ...["--state-dir", join(stage.directory, `mixer-${port}`)],
  ]);
  await until(`a mixer to be ready; it said: ${running.output()}`, async () => {
    return (await status(monitor, "/ready")) === 200;
  });
  return { running, port, monitor };
}

async function startProxy(mixer: number): Promise<Sidecar> {
  return await startSidecar(stage, [
    ...["--manager", managerUrl(ports), "--service", "reviews.default"],
    ...["--app-port", String(stage.application("ok")), "--service-port", "9080"],
    ...["--mixer", `127.0.0.1:${mixer}`, "--mixer-timeout", String(TIMEOUT_MS / 1_000)],
  ]);
}

const limit = (name: string, line: string, failPolicy: "open" | "closed"): string => `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: ${name}, namespace: default }
spec:
  match: context.reporter.kind == "inbound" && request.url_path == "/${name}"
  failPolicy: ${failPolicy}
  rateLimit: ${line}
`;

function rules(port: number): string {
  const at = `at redis://127.0.0.1:${port}`;
  return [
    limit("shared", `400/10m ${at}`, "closed"),
    limit("windows", `150/s ${at}`, "closed"),
    limit("closed", `1000000/h ${at}`, "closed"),
    limit("open", `1000000/h ${at}`, "open"),
  ].join("---");
}

/** The status, and how long it took, of one request to the inbound port of a proxy. */
async function ask(proxy: Sidecar, path: string): Promise<{ status: number; ms: number }> {
  const startMs = performance.now();
  const { status: code } = await get(proxy.inbound, HOST, path);
  return { status: code, ms: performance.now() - startMs };
}

/** How many pass at each of the proxies, which all are asked at once for so long. */
async function flood(path: string, isOver: () => boolean): Promise<number[]> {
  const passed = proxies.map(() => 0);
  const client = async (i: number): Promise<void> => {
    while (!isOver()) {
      const { status: code } = await ask(proxies[i]!, path);
      if (code === 200) passed[i]!++;
      else expect(code).toBe(429);
    }
  };
  await Promise.all(proxies.flatMap((_, i) => [client(i), client(i), client(i), client(i)]));
  return passed;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

test.skipIf(redisSkipped)(
  "three proxies and two mixers share one limit exactly",
  async () => {
    let asked = 0;
    const passed = await flood("/shared", () => asked++ > 1_500);
    expect(sum(passed)).toBe(400);
    for (const one of passed) expect(one).toBeGreaterThan(0);
  },
  60_000,
);

/** The issue's own figure is 30: `MESH_LIMIT_SECONDS=30 bun run spec`. */
const LIMIT_SECONDS = Number(process.env.MESH_LIMIT_SECONDS ?? 10);

test.skipIf(redisSkipped)(
  `for ${LIMIT_SECONDS} s, window after window, it is right within two in a hundred`,
  async () => {
    const startMs = performance.now();
    const elapsedMs = (): number => performance.now() - startMs;
    // Nothing was asked before: the first request opens the first window.
    const passed = await flood("/windows", () => elapsedMs() > LIMIT_SECONDS * 1_000 - 200);
    const windows = Math.floor(elapsedMs() / 1_000) + 1;
    const [total, right] = [sum(passed), windows * 150];
    const percent = ((total / right - 1) * 100).toFixed(2);
    console.log(`${total} passed in ${windows} windows, where ${right} may: ${percent} %`);
    // Each request asks for itself, which leaves no error on the side of too many.
    expect(total).toBeLessThanOrEqual(right);
    expect(total).toBeGreaterThanOrEqual(right * 0.98);
  },
  60_000 + LIMIT_SECONDS * 1_000,
);

/** What closes, what opens and what needs no mixer, at one proxy. */
async function triple(proxy: Sidecar) {
  const [closed, open, free] = await Promise.all([
    ask(proxy, "/closed"),
    ask(proxy, "/open"),
    ask(proxy, "/free"),
  ]);
  return { codes: [closed.status, open.status, free.status], closed, open, free };
}

async function expectFault(proxy: Sidecar, limitMs: number): Promise<void> {
  const { codes, closed, open, free } = await triple(proxy);
  expect(codes).toEqual([503, 200, 200]);
  for (const { ms } of [closed, open, free]) expect(ms).toBeLessThan(limitMs);
}

async function untilWell(proxy: Sidecar): Promise<void> {
  await until("all to be well again", async () => {
    return (await triple(proxy)).codes.every((code) => code === 200);
  });
}

/** Under load of a machine, beyond what waits for something. */
const SLACK_MS = 2_000;

test.skipIf(redisSkipped)(
  "a Redis that goes: each rule does as it says; it comes back",
  async () => {
    await untilWell(proxies[0]!);
    await redis.stop();
    // The handler's own limit is a second.
    await until("the loss to show", async () => (await triple(proxies[0]!)).codes[0] === 503);
    for (const proxy of proxies) await expectFault(proxy, 1_000 + SLACK_MS);
    redis = await startRedis(redis.port);
    for (const proxy of proxies) await untilWell(proxy);
  },
  60_000,
);

test.skipIf(redisSkipped)(
  "a frozen mixer costs a question its limit, then nothing",
  async () => {
    const { child } = mixers[0].running;
    const others = proxies[2]!;
    child.kill("SIGSTOP");
    await expectFault(proxies[0]!, TIMEOUT_MS + SLACK_MS);
    const rests = await Promise.all(Array.from({ length: 20 }, () => ask(proxies[0]!, "/closed")));
    expect(rests.map(({ status: code }) => code)).toEqual(Array(20).fill(503));
    expect((await triple(others)).codes).toEqual([200, 200, 200]);
    child.kill("SIGCONT");
    await untilWell(proxies[0]!);
  },
  60_000,
);

test.skipIf(redisSkipped)(
  "what a rule did is told by proxies and mixers, each for itself",
  async () => {
    const at = ["--manager", managerUrl(ports)];
    const explained = await ctl("explain", "rule", "shared", "-n", "default", ...at);
    expect(explained.out).toMatch(/^together +[1-9]\d* /m);
    const [, mixersPart = ""] = explained.out.split("asked of mixers\n");
    for (const { port } of mixers)
      expect(mixersPart).toMatch(new RegExp(`^mixer-${port} +[1-9]\\d* `, "m"));
    const config = await ctl("config", `mixer-${mixers[0].port}`, "policy", ...at);
    expect(config.out).toMatch(/^shared\.default +mixer +[1-9]/m);
    expect(explained.err + config.err).toBe("");
  },
  60_000,
);

test.skipIf(redisSkipped)(
  "a killed mixer, and one started again in its place",
  async () => {
    const { running, port, monitor } = mixers[0];
    running.child.kill("SIGKILL");
    await running.child.exited;
    for (const proxy of proxies.slice(0, 2)) await expectFault(proxy, SLACK_MS);
    expect((await triple(proxies[2]!)).codes).toEqual([200, 200, 200]);
    mixers[0] = await startMixer(port, monitor);
    for (const proxy of proxies.slice(0, 2)) await untilWell(proxy);
  },
  60_000,
);

const impostors: readonly (readonly [what: string, does: (socket: Socket) => void])[] = [
  ["says nothing", () => {}],
  ["answers garbage", (socket) => socket.write("garbage ".repeat(100))],
  ["hangs up", (socket) => socket.destroy()],
];

test.skipIf(redisSkipped)(
  "whatever answers in a mixer's place, its rules go by their fail policy",
  async () => {
    const { running, port, monitor } = mixers[0];
    running.child.kill("SIGTERM");
    await running.child.exited;
    for (const [, does] of impostors) {
      const sockets = new Set<Socket>();
      const impostor = createServer((socket) => {
        sockets.add(socket.on("error", () => {}));
        does(socket);
      });
      await new Promise<void>((resolve) => impostor.listen(port, "127.0.0.1", () => resolve()));
      for (let i = 0; i < 3; i++) await expectFault(proxies[0]!, TIMEOUT_MS + SLACK_MS);
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => impostor.close(() => resolve()));
    }
    mixers[0] = await startMixer(port, monitor);
    await untilWell(proxies[0]!);
  },
  60_000,
);

/** To a mixer and back, with answers that come so late. */
function slowPath(to: number, lateMs: () => number): Server {
  return createServer((socket) => {
    const mixer = connect(to, "127.0.0.1");
    socket.on("error", () => {}).on("data", (bytes) => mixer.write(bytes));
    mixer
      .on("error", () => {})
      .on("data", (bytes) => {
        const lateBy = lateMs();
        if (lateBy === 0) socket.write(bytes);
        else setTimeout(() => socket.destroyed || socket.write(bytes), lateBy);
      });
    socket.on("close", () => mixer.destroy());
    mixer.on("close", () => socket.destroy());
  });
}

test.skipIf(redisSkipped)(
  "a mixer whose answers come too late is as good as none, and is asked again once it is quick",
  async () => {
    let lateMs = 0;
    const path = slowPath(mixers[0].port, () => lateMs);
    const [port] = freePorts(1);
    await new Promise<void>((resolve) => path.listen(port, "127.0.0.1", () => resolve()));
    const proxy = await startProxy(port!);
    await untilWell(proxy);
    lateMs = 3 * TIMEOUT_MS;
    for (let i = 0; i < 3; i++) await expectFault(proxy, TIMEOUT_MS + SLACK_MS);
    lateMs = 0;
    await untilWell(proxy);
    await new Promise((resolve) => {
      path.close(resolve);
      proxy.running.child.kill("SIGTERM");
    });
  },
  60_000,
);

test.skipIf(redisSkipped)(
  "a mixer runs on without its manager, and starts without it",
  async () => {
    const { running, port, monitor } = mixers[1];
    const page = await (await fetch(`http://127.0.0.1:${monitor}/metrics`)).text();
    expect(page).toMatch(/mixer_calls_total\{call="Check",code="OK"\} [1-9]/);
    const known = await ctl("proxies", "--manager", managerUrl(ports));
    expect(known.out).toContain(`mixer-${port}`);
    for (const { child } of [running, manager]) {
      child.kill("SIGKILL");
      await child.exited;
    }
    mixers[1] = await startMixer(port, monitor);
    await untilWell(proxies[2]!);
  },
  60_000,
);
