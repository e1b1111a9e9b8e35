/**
 * What the proxy holds: idle, with 10,000 idle client connections, and while 1 GB goes up, down,
 * and down to a reader that reads slowly at first; the same between two sidecars, and for a client
 * that speaks HTTP/2 (curl). Resident memory is sampled every 20 ms.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { memoryMb } from "./measure.ts";
import { HOST, type Peer, startMesh, startMeshPair } from "./peer.ts";
import { serviceRules } from "./rule-set.ts";

const GIGABYTE = 1_000_000_000;
const IDLE_CONNECTIONS = 10_000;
/** A proxy gives memory of its start back a little later. */
const SETTLING_MS = 6_000;

export async function benchMemory(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mesh-bench-"));
  const bulk = Bun.spawn([process.execPath, join(import.meta.dir, "bulk-server.ts")], {
    stdout: "pipe",
  });
  const running: Peer[] = [];
  try {
    const first = await bulk.stdout.getReader().read();
    const upstreamPort = Number(new TextDecoder().decode(first.value).trim());
    const rules = join(directory, "rules");
    mkdirSync(rules);
    writeFileSync(join(rules, "rules.yaml"), serviceRules(upstreamPort));
    const port = freePorts(1)[0]!;
    const mesh = await startMesh("mesh", directory, port, { rules });
    running.push(mesh);
    await Bun.sleep(SETTLING_MS);
    const idle = memoryMb(mesh.pid);
    console.log(`idle: ${idle.rss.toFixed(1)} MB, of it anonymous ${idle.anonymous.toFixed(1)} MB`);
    await idleConnections(mesh, idle.rss);
    await transferThrough([mesh], { port, host: HOST });
    await transferThrough([mesh], { port, host: HOST }, http2Transfers);
    const pair = await startMeshPair(directory, upstreamPort);
    running.push(...pair);
    await Bun.sleep(SETTLING_MS);
    await transferThrough(pair, { port: pair.at(-1)!.port, host: "svc" });
  } finally {
    for (const peer of running.reverse()) await peer.stop();
    bulk.kill();
    await bulk.exited;
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Every transfer, each with the peaks of all proxies on its way. */
async function transferThrough(
  proxies: readonly Peer[],
  target: Target,
  all: Transfers = transfers,
): Promise<void> {
  const idle = proxies.map(({ pid }) => memoryMb(pid).rss);
  for (const [name, transfer] of Object.entries(all)) {
    const peaks = await peaksDuring(proxies, () => transfer(target));
    const parts = peaks.map(
      (peak, i) =>
        `${proxies[i]!.name} ${peak.toFixed(1)} MB, ${(peak - idle[i]!).toFixed(1)} more`,
    );
    console.log(`${name}: peak of ${parts.join("; of ")}`);
  }
}

async function idleConnections(mesh: Peer, idleMb: number): Promise<void> {
  const sockets: Bun.Socket<undefined>[] = [];
  for (let i = 0; i < IDLE_CONNECTIONS; i++) {
    sockets.push(
      await Bun.connect({ hostname: "127.0.0.1", port: mesh.port, socket: { data() {} } }),
    );
  }
  await Bun.sleep(1_000);
  const now = memoryMb(mesh.pid).rss;
  console.log(
    `${sockets.length} idle connections: ${now.toFixed(1)} MB, ${(now - idleMb).toFixed(1)} more`,
  );
  for (const socket of sockets) socket.terminate();
  await Bun.sleep(1_000);
}

async function peaksDuring(proxies: readonly Peer[], work: () => Promise<void>): Promise<number[]> {
  const peaks = proxies.map(() => 0);
  const look = (): void => {
    for (const [i, { pid }] of proxies.entries()) {
      peaks[i] = Math.max(peaks[i]!, memoryMb(pid).rss);
    }
  };
  const timer = setInterval(look, 20);
  await work();
  clearInterval(timer);
  look();
  return peaks;
}

interface Target {
  readonly port: number;
  readonly host: string;
}

type Transfers = Readonly<Record<string, (target: Target) => Promise<void>>>;
const transfers: Transfers = {
  "1 GB down": (target) => download(target, false),
  "1 GB down, slow reader": (target) => download(target, true),
  "1 GB up": upload,
};
const http2Transfers: Transfers = {
  "1 GB down, HTTP/2": (target) => curl(target, `/${GIGABYTE}`, "cat"),
  "1 GB up, HTTP/2": (target) => curl(target, "/", "upload"),
};

/** `how`: reads the answer, or sends a gigabyte. */
async function curl({ port, host }: Target, path: string, how: "cat" | "upload"): Promise<void> {
  const head = `-sf --http2-prior-knowledge -H 'Host: ${host}'`;
  const url = `http://127.0.0.1:${port}${path}`;
  const body = `-X POST -H 'Content-Length: ${GIGABYTE}' -T -`;
  const sends = `head -c ${GIGABYTE} /dev/zero | curl ${head} ${body} ${url}`;
  const command = how === "cat" ? `curl ${head} ${url} | wc -c` : sends;
  const answer = await new Response(Bun.spawn(["sh", "-c", command]).stdout).text();
  if (answer.trim() !== String(GIGABYTE)) throw new Error(`${path}: ${answer}`);
}

/** A slow reader takes nothing for 10 ms after each piece, for the first 5 seconds. */
async function download({ port, host }: Target, slow: boolean): Promise<void> {
  let received = 0;
  let headDone = false;
  const done = Promise.withResolvers<void>();
  const started = performance.now();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data(s, chunk) {
        let length = chunk.length;
        if (!headDone) {
          length -= chunk.indexOf("\r\n\r\n") + 4;
          headDone = true;
        }
        received += length;
        if (received >= GIGABYTE) return done.resolve();
        if (slow && performance.now() - started < 5_000) {
          s.pause();
          setTimeout(() => s.resume(), 10);
        }
      },
      close: () => done.reject(new Error(`closed after ${received} bytes`)),
    },
  });
  socket.write(`GET /${GIGABYTE} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await done.promise;
  socket.terminate();
}

async function upload({ port, host }: Target): Promise<void> {
  const block = new Uint8Array(262_144).fill(121);
  let left = GIGABYTE;
  let answer = "";
  const done = Promise.withResolvers<void>();
  const send = (socket: Bun.Socket<undefined>): void => {
    while (left > 0) {
      const wanted = Math.min(block.length, left);
      const taken = socket.write(block, 0, wanted);
      left -= Math.max(taken, 0);
      if (taken < wanted) return;
    }
  };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data(_, chunk) {
        answer += chunk.toString();
        if (answer.endsWith(`\r\n\r\n${GIGABYTE}`)) done.resolve();
      },
      drain: send,
      close: () => done.reject(new Error(`closed with ${left} bytes to send: ${answer}`)),
    },
  });
  socket.write(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${GIGABYTE}\r\n\r\n`);
  send(socket);
  await done.promise;
  socket.terminate();
}
