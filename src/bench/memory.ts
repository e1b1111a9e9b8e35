/**
 * What the proxy holds: idle, with 10,000 idle client connections, and while 1 GB goes up, down,
 * and down to a reader that reads slowly at first. Resident memory is sampled every 20 ms.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../testing/free-port.ts";
import { memoryMb } from "./measure.ts";
import { HOST, type Peer, startMesh } from "./peer.ts";
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
  let mesh: Peer | undefined;
  try {
    const first = await bulk.stdout.getReader().read();
    const upstreamPort = Number(new TextDecoder().decode(first.value).trim());
    const rules = join(directory, "rules");
    mkdirSync(rules);
    writeFileSync(join(rules, "rules.yaml"), serviceRules(upstreamPort));
    const port = freePorts(1)[0]!;
    mesh = await startMesh("mesh", directory, port, { rules });
    await Bun.sleep(SETTLING_MS);
    const idle = memoryMb(mesh.pid);
    console.log(`idle: ${idle.rss.toFixed(1)} MB, of it anonymous ${idle.anonymous.toFixed(1)} MB`);
    await idleConnections(mesh, idle.rss);
    for (const [name, transfer] of Object.entries(transfers)) {
      const peak = await peakDuring(mesh.pid, () => transfer(port));
      console.log(
        `${name}: peak ${peak.toFixed(1)} MB, ${(peak - idle.rss).toFixed(1)} above idle`,
      );
    }
  } finally {
    await mesh?.stop();
    bulk.kill();
    await bulk.exited;
    rmSync(directory, { recursive: true, force: true });
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

async function peakDuring(pid: number, work: () => Promise<void>): Promise<number> {
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, memoryMb(pid).rss);
  }, 20);
  await work();
  clearInterval(timer);
  return Math.max(peak, memoryMb(pid).rss);
}

const transfers: Readonly<Record<string, (port: number) => Promise<void>>> = {
  "1 GB down": (port) => download(port, false),
  "1 GB down, slow reader": (port) => download(port, true),
  "1 GB up": upload,
};

/** A slow reader takes nothing for 10 ms after each piece, for the first 5 seconds. */
async function download(port: number, slow: boolean): Promise<void> {
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
  socket.write(`GET /${GIGABYTE} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  await done.promise;
  socket.terminate();
}

async function upload(port: number): Promise<void> {
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
  socket.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${GIGABYTE}\r\n\r\n`);
  send(socket);
  await done.promise;
  socket.terminate();
}
