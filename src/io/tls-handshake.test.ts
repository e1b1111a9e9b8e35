/**
 * TLS sockets under the same interface as TCP sockets: the traps of the runtime, and what holds.
 * Both ends are ours, so that each is told all that happens.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { memoryMb } from "../bench/measure.ts";
import { systemClock } from "../core/clock.ts";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import {
  type EchoConnection,
  type EchoOptions,
  lacksOpenssl,
  nodeTls,
  opensslClient,
  TlsEcho,
  trusting,
  until,
} from "../testing/tls-echo.ts";
import { SendBuffer, SendPool } from "./send-buffer.ts";
import type { TcpSocket } from "./socket.ts";
import { TcpConnector } from "./tcp-connector.ts";
import { TimerWheel } from "./timer-wheel.ts";
import { ClientTls } from "./tls-settings.ts";

const withOpenssl = test.skipIf(lacksOpenssl);
setDefaultTimeout(30_000);
const root = new CertificateAuthority();
const web = root.issue({ name: "web", for: ["DNS:web.example"] });
const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

const pool = new SendPool({ lowBytes: 1 << 16, highBytes: 1 << 18, maxBytes: 64 << 20 });

/** Our end of a connection; counts and hashes what it gets. */
class End {
  socket: TcpSocket<End> | undefined = undefined;
  readonly out = new SendBuffer(pool);
  received = 0;
  readonly #hash = createHash("sha256");
  drains = 0;
  ended = false;
  closed = false;
  error: Error | undefined = undefined;

  take(bytes: Uint8Array): void {
    this.received += bytes.length;
    this.#hash.update(bytes);
  }

  get digest(): string {
    return this.#hash.copy().digest("hex");
  }

  send(bytes: Uint8Array): number {
    return this.out.write(this.socket!, bytes, 0, bytes.length);
  }
}

const handlers = {
  open(socket: TcpSocket<End>) {
    socket.data.socket = socket;
  },
  data(socket: TcpSocket<End>, bytes: Uint8Array) {
    socket.data.take(bytes);
  },
  drain(socket: TcpSocket<End>) {
    socket.data.drains++;
    socket.data.out.flush(socket);
  },
  end(socket: TcpSocket<End>) {
    socket.data.ended = true;
  },
  close(socket: TcpSocket<End>, error?: Error) {
    socket.data.closed = true;
    socket.data.error = error;
  },
};
const connector = new TcpConnector<End>(
  {
    ...handlers,
    connectFailed(end, cause, detail) {
      throw new Error(`${end.received}: ${cause}: ${detail}`);
    },
  },
  new TimerWheel(systemClock),
);

function echo(options: EchoOptions = {}): TlsEcho {
  const started = new TlsEcho([web], options);
  cleanUps.push(() => started.stop());
  return started;
}

/** Two ends of ours, with TLS of `version` between them. */
async function pair(version: "1.2" | "1.3"): Promise<{ near: End; far: End }> {
  const far = new End();
  const server = echo({
    tls: { maximumVersion: version },
    handlers: {
      ...(handlers as object),
      open: (socket) => {
        socket.data = far as never;
        far.socket = socket as never;
      },
    },
  });
  const near = new End();
  const tls = new ClientTls({
    serverName: "web.example",
    expected: { host: "web.example", uris: new Set() },
    roots: trusting(root),
  });
  connector.connect({ hostname: "127.0.0.1", port: server.port, tls }, near, 5_000);
  await until(() => near.socket !== undefined && far.socket !== undefined, "both ends");
  cleanUps.push(() => near.socket?.terminate());
  return { near, far };
}

function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8)) & 0xff;
  return bytes;
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const versions = [["1.2"], ["1.3"]] as const;

test.each(versions)(
  "TLS %s: write says what it took, 0 when the peer does not read, then drain",
  async (version) => {
    const { near, far } = await pair(version);
    far.socket!.pause();
    const bytes = pattern(1 << 20);
    let taken = 0;
    let last = 0;
    do {
      last = near.socket!.write(bytes, 0, bytes.length);
      expect(last).toBeGreaterThanOrEqual(0);
      expect(last).toBeLessThanOrEqual(bytes.length);
      taken += last;
    } while (last > 0);
    expect(taken).toBeGreaterThan(0);
    const { drains } = near;
    far.socket!.resume();
    await until(() => near.drains > drains, "drain");
    await until(() => far.received === taken, "what was taken, no more and no less");
    expect(near.socket!.write(bytes, 100, 50)).toBe(50);
    await until(() => far.received === taken + 50, "the last 50");
    near.socket!.terminate();
    expect(near.socket!.write(bytes, 0, 1)).toBe(-1);
  },
);

test.each(versions)("TLS %s: end after a full buffer loses nothing", async (version) => {
  const { near, far } = await pair(version);
  far.socket!.pause();
  const bytes = pattern(8 << 20);
  expect(near.send(bytes)).toBeGreaterThan(0);
  near.out.end(near.socket!);
  await Bun.sleep(10);
  expect(far.received).toBe(0);
  far.socket!.resume();
  await until(() => far.ended, "the end");
  expect(far.received).toBe(bytes.length);
  expect(far.digest).toBe(sha256(bytes));
  far.socket!.end();
  await until(() => near.closed && far.closed, "both to be closed");
  expect([near.error, far.error]).toEqual([undefined, undefined]);
});

test.each(versions)("TLS %s: half close, in both directions", async (version) => {
  for (const [first, second] of [
    ["near", "far"],
    ["far", "near"],
  ] as const) {
    const ends = await pair(version);
    const bytes = pattern(5 << 20);
    ends[first].send(pattern(1_000));
    ends[first].out.shutdown(ends[first].socket!);
    await until(() => ends[second].ended, "close_notify and FIN");
    expect(ends[second].received).toBe(1_000);
    expect(ends[first].socket!.write(bytes, 0, 1)).toBe(-1);
    ends[second].send(bytes);
    ends[second].out.shutdown(ends[second].socket!);
    await until(() => ends[first].ended, "the answer's end");
    expect(ends[first].digest).toBe(sha256(bytes));
    await until(() => ends.near.closed && ends.far.closed, "both to be closed");
    expect([ends.near.error, ends.far.error]).toEqual([undefined, undefined]);
  }
});

test.each(versions)(
  "TLS %s: 20 MB to a slow reader, who pauses at each chunk: little is under way",
  async (version) => {
    const { near, far } = await pair(version);
    far.socket!.pause();
    const bytes = pattern(1 << 20);
    let sent = 0;
    let underWay = 0;
    // The producer stops where it is told to; the reader takes a chunk and pauses.
    while (sent < 20 << 20 || near.out.waiting > 0) {
      while (sent < 20 << 20 && !near.out.isFull) {
        expect(near.send(bytes)).toBeGreaterThanOrEqual(0);
        sent += bytes.length;
      }
      underWay = Math.max(underWay, sent - far.received);
      const { received } = far;
      far.socket!.resume();
      await until(() => far.received > received, "a chunk");
      far.socket!.pause();
    }
    far.socket!.resume();
    await until(() => far.received === 20 << 20, "the rest");
    // Ours, the library's and the kernel's buffers of both ends.
    expect(underWay).toBeLessThan(16 << 20);
  },
);

test("a paused end gets nothing, and the end only after what came before it", async () => {
  const { near, far } = await pair("1.3");
  far.socket!.pause();
  near.send(pattern(100));
  near.out.shutdown(near.socket!);
  await Bun.sleep(20);
  expect([far.received, far.ended]).toEqual([0, false]);
  far.socket!.resume();
  await until(() => far.ended, "the end");
  expect(far.received).toBe(100);
});

test("a reset is a reset", async () => {
  const { near, far } = await pair("1.3");
  near.socket!.terminate();
  await until(() => far.closed, "the close");
  expect((far.error as { code?: string } | undefined)?.code).toBe("ECONNRESET");
});

/** A TCP relay that may change what passes. */
async function relay(port: number, tamper: (bytes: Buffer, nth: number) => Buffer) {
  const listener = Bun.listen<{ far: Bun.Socket | undefined; early: Buffer[] }>({
    hostname: "127.0.0.1",
    port: 0,
    data: { far: undefined, early: [] },
    socket: {
      async open(near) {
        near.data = { far: undefined, early: [] };
        let nth = 0;
        const far = await Bun.connect({
          hostname: "127.0.0.1",
          port,
          socket: {
            data: (_far, bytes) => void near.write(tamper(Buffer.from(bytes), nth++)),
            close: () => void near.end(),
          },
        });
        near.data.far = far;
        for (const bytes of near.data.early) far.write(bytes);
      },
      data(near, bytes) {
        if (near.data.far === undefined) near.data.early.push(Buffer.from(bytes));
        else near.data.far.write(bytes);
      },
    },
  });
  cleanUps.push(() => listener.stop(true));
  return listener.port;
}

test("a record that was tampered with is no orderly end", async () => {
  const server = echo();
  let tampered = false;
  const port = await relay(server.port, (bytes) => {
    if (!tampered) return bytes;
    const changed = Buffer.from(bytes);
    changed[changed.length - 1]! ^= 1;
    return changed;
  });
  const near = new End();
  const tls = new ClientTls({
    serverName: "web.example",
    expected: { host: "web.example", uris: new Set() },
    roots: trusting(root),
  });
  connector.connect({ hostname: "127.0.0.1", port, tls }, near, 5_000);
  await until(() => near.socket !== undefined, "the connection");
  near.send(pattern(10));
  await until(() => near.received === 10, "an honest echo");
  tampered = true;
  near.send(pattern(10));
  await until(() => near.closed, "the close");
  expect(near.received).toBe(10);
  expect(near.error?.message).toMatch(/BAD_DECRYPT|BAD_RECORD_MAC|DECRYPTION_FAILED/);
});

withOpenssl("the raw socket's handlers hear nothing of an upgraded connection", async () => {
  const seen: string[] = [];
  const note =
    (what: string) =>
    (socket: TcpSocket<EchoConnection>): void => {
      if (socket.data === undefined) seen.push(`${what} without a connection`);
      seen.push(what);
    };
  const server = echo({
    handlers: {
      data: (socket, bytes) => {
        seen.push(`data ${bytes.length}`);
        socket.write(bytes, 0, bytes.length);
      },
      drain: () => {},
      end: (socket) => {
        note("end")(socket);
        socket.end();
      },
      close: note("close"),
    },
  });
  expect(await opensslClient(server.port, [])).toContain("\nhello");
  await until(() => seen.includes("close"), "the close");
  expect(seen).toEqual(["data 6", "end", "close"]);
});

test("ciphertext that Bun copies for the raw socket does not pile up", async () => {
  const script = join(import.meta.dir, "..", "bench", "tls-server.ts");
  const stdin = new Blob([JSON.stringify({ ...web, root: root.certificate })]);
  const server = Bun.spawn([process.execPath, script, "tls"], { stdin, stdout: "pipe" });
  cleanUps.push(() => server.kill());
  const { value } = await server.stdout.getReader().read();
  const { socket } = await nodeTls(Number(Buffer.from(value!).toString()));
  const block = Buffer.alloc(1 << 20);
  const before = memoryMb(server.pid).rss;
  let peak = 0;
  for (let i = 0; i < 500; i++) {
    await new Promise((resolve) => socket.write(block, resolve));
    peak = Math.max(peak, memoryMb(server.pid).rss - before);
  }
  expect(peak).toBeGreaterThan(0);
  expect(peak).toBeLessThan(64);
  socket.destroy();
});

test("an owner may close in open, at once and in order", async () => {
  for (const close of ["end", "terminate"] as const) {
    const events: string[] = [];
    const server = echo({
      handlers: {
        open: (socket, tls) => {
          events.push(`open ${tls?.version}`);
          socket[close]();
        },
        data: () => events.push("data"),
        end: () => events.push("end"),
        close: () => events.push("close"),
      },
    });
    const { socket } = await nodeTls(server.port);
    socket.on("error", () => {});
    socket.write("too late");
    await until(() => events.includes("close"), "the close");
    expect(events.filter((event) => event !== "data" && event !== "end")).toEqual([
      "open TLSv1.3",
      "close",
    ]);
    socket.destroy();
  }
});
