/** Output that the kernel does not take at once: order, bounds, memory, and the end of it. */
import { expect, test } from "bun:test";
import { seededRandom } from "../core/random.ts";
import { expectLinear } from "../testing/growth.ts";
import { RawClient } from "../testing/raw-client.ts";
import { Held, HeldBytes } from "./held-bytes.ts";
import { SEND_CLOSED, SEND_OVERFLOW, SendBuffer, SendPool } from "./send-buffer.ts";
import type { TcpSocket } from "./socket.ts";
import { listenTcp } from "./tcp-listener.ts";

const limits = { lowBytes: 1_000, highBytes: 10_000, maxBytes: 1 << 20 };

/** A kernel with as much room as the test gives it. */
class Kernel implements TcpSocket<undefined> {
  data = undefined;
  readonly fd = 1;
  readonly remoteAddress = "";
  readonly remotePort = 0;
  readonly localAddress = "";
  readonly localPort = 0;
  room = 0;
  closed = false;
  taken: number[] = [];
  calls: string[] = [];

  write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.closed) return -1;
    const n = Math.min(length, this.room);
    for (let i = 0; i < n; i++) this.taken.push(bytes[offset + i]!);
    this.room -= n;
    return n;
  }

  pause(): void {}
  resume(): void {}
  shutdown(): void {
    this.calls.push("shutdown");
  }
  end(): void {
    this.calls.push("end");
  }
  terminate(): void {}
}

/** Takes nothing until it is open, then 10,000 bytes a call; looks at none of them. */
class CountingKernel extends Kernel {
  isOpen = false;

  override write(_bytes: Uint8Array, _offset: number, length: number): number {
    return this.isOpen ? Math.min(length, 10_000) : 0;
  }
}

function setUp(): { kernel: Kernel; pool: SendPool; buffer: SendBuffer } {
  const pool = new SendPool(limits);
  return { kernel: new Kernel(), pool, buffer: new SendBuffer(pool) };
}

test("what the kernel does not take waits, whatever the caller does with the bytes", () => {
  const { kernel, buffer } = setUp();
  kernel.room = 5;
  const bytes = Buffer.from("abcdefgh");
  expect(buffer.write(kernel, bytes, 1, 3)).toBe(0);
  expect(buffer.write(kernel, bytes, 4, 4)).toBe(2);
  bytes.fill(0);
  kernel.room = 1;
  expect(buffer.flush(kernel)).toBe(1);
  kernel.room = 10;
  expect(buffer.flush(kernel)).toBe(0);
  expect(Buffer.from(kernel.taken).toString()).toBe("bcdefgh");
});

test("a later write does not overtake what is waiting, though the kernel has room again", () => {
  const { kernel, buffer } = setUp();
  expect(buffer.write(kernel, Buffer.from("first"), 0, 5)).toBe(5);
  kernel.room = 100;
  expect(buffer.write(kernel, Buffer.from("second"), 0, 6)).toBe(11);
  buffer.flush(kernel);
  expect(Buffer.from(kernel.taken).toString()).toBe("firstsecond");
});

test("full above the high mark, low at the low mark, refused whole past the limit", () => {
  const { kernel, buffer } = setUp();
  const bytes = new Uint8Array(limits.maxBytes);
  buffer.write(kernel, bytes, 0, limits.highBytes);
  expect([buffer.isFull, buffer.isLow]).toEqual([false, false]);
  buffer.write(kernel, bytes, 0, 1);
  expect(buffer.isFull).toBe(true);
  expect(buffer.write(kernel, bytes, 0, limits.maxBytes)).toBe(SEND_OVERFLOW);
  expect(buffer.waiting).toBe(limits.highBytes + 1);
  const fresh = setUp();
  fresh.kernel.room = 7;
  const whole = new Uint8Array(limits.maxBytes + 1);
  expect(fresh.buffer.write(fresh.kernel, whole, 0, whole.length)).toBe(SEND_OVERFLOW);
  expect(fresh.kernel.taken.length).toBe(0);
  kernel.room = limits.highBytes + 1 - limits.lowBytes;
  buffer.flush(kernel);
  expect([buffer.isFull, buffer.isLow]).toEqual([false, true]);
});

test("FIN or the end comes after the last byte, once, and an end outranks a half close", () => {
  const { kernel, buffer } = setUp();
  buffer.write(kernel, Buffer.from("xyz"), 0, 3);
  buffer.shutdown(kernel);
  buffer.end(kernel);
  kernel.room = 2;
  buffer.flush(kernel);
  expect(kernel.calls).toEqual([]);
  kernel.room = 2;
  buffer.flush(kernel);
  buffer.flush(kernel);
  expect(kernel.calls).toEqual(["end"]);
  buffer.shutdown(kernel);
  expect(kernel.calls).toEqual(["end", "shutdown"]);
});

test("a closed socket is told, and what waited is given back", () => {
  const { kernel, pool, buffer } = setUp();
  buffer.write(kernel, new Uint8Array(200_000), 0, 200_000);
  kernel.closed = true;
  expect(buffer.flush(kernel)).toBe(SEND_CLOSED);
  buffer.clear();
  expect(buffer.waiting).toBe(0);
  expect(pool.spareBytes).toBe(4 * 65_536);
  expect(buffer.write(kernel, new Uint8Array(1), 0, 1)).toBe(SEND_CLOSED);
});

test("ten thousand connections with a little to send do not cost a block each", () => {
  const pool = new SendPool(limits);
  const chunk = Buffer.alloc(500, "abcde");
  const kernels = Array.from({ length: 10_000 }, () => new Kernel());
  const before = process.memoryUsage().external;
  const buffers = kernels.map((kernel) => {
    const buffer = new SendBuffer(pool);
    buffer.write(kernel, chunk, 0, chunk.length);
    return buffer;
  });
  expect(process.memoryUsage().external - before).toBeLessThan(10_000 * 8_192);
  buffers[0]!.write(kernels[0]!, Buffer.alloc(100_000, "fghij"), 0, 100_000);
  kernels[0]!.room = Number.POSITIVE_INFINITY;
  buffers[0]!.flush(kernels[0]!);
  const text = "abcde".repeat(100) + "fghij".repeat(20_000);
  expect(Bun.hash(new Uint8Array(kernels[0]!.taken))).toBe(Bun.hash(text));
});

test("small blocks are used again, and half of what is kept is theirs", () => {
  const pool = new SendPool(limits, 32 * 1024);
  const hold = (count: number): SendBuffer[] =>
    Array.from({ length: count }, () => {
      const buffer = new SendBuffer(pool);
      buffer.write(new Kernel(), Buffer.from("little"), 0, 6);
      return buffer;
    });
  for (const buffer of hold(10)) buffer.clear();
  expect(pool.spareBytes).toBe(4 * 4_096);
  const kernel = new Kernel();
  const again = new SendBuffer(pool);
  again.write(kernel, Buffer.from("other"), 1, 4);
  expect(pool.spareBytes).toBe(3 * 4_096);
  kernel.room = Number.POSITIVE_INFINITY;
  again.flush(kernel);
  expect(Buffer.from(kernel.taken).toString()).toBe("ther");
  expect(pool.spareBytes).toBe(4 * 4_096);
});

test("any mixture of writes and partial drains gives the same bytes in order", () => {
  const seed = 71;
  const random = seededRandom(seed);
  const { kernel, pool, buffer } = setUp();
  const sent: number[] = [];
  for (let step = 0; step < 1_000; step++) {
    if (random() < 0.6) {
      const bytes = Uint8Array.from({ length: Math.floor(random() ** 16 * 100_000) }, () =>
        Math.floor(random() * 256),
      );
      const from = Math.floor(random() * bytes.length);
      if (buffer.write(kernel, bytes, from, bytes.length - from) === SEND_OVERFLOW) continue;
      for (let i = from; i < bytes.length; i++) sent.push(bytes[i]!);
    } else {
      kernel.room = Math.floor(random() ** 3 * 200_000);
      buffer.flush(kernel);
    }
  }
  kernel.room = Number.POSITIVE_INFINITY;
  buffer.flush(kernel);
  if (Bun.hash(new Uint8Array(kernel.taken)) !== Bun.hash(new Uint8Array(sent)))
    throw new Error(`seed ${seed}: other bytes came out than went in`);
  expect(pool.spareBytes).toBeLessThanOrEqual(4 << 20);
});

test("work grows with the waiting bytes, not faster", () => {
  // One pool, which soon has all the blocks: allocation would be measured instead.
  const pool = new SendPool({ ...limits, maxBytes: 4_000_000 }, 8 << 20);
  const chunk = new Uint8Array(100);
  const send = (bytes: number): void => {
    const buffer = new SendBuffer(pool);
    const kernel = new CountingKernel();
    for (let at = 0; at < bytes; at += 100) buffer.write(kernel, chunk, 0, 100);
    kernel.isOpen = true;
    while (buffer.waiting > 0) buffer.flush(kernel);
  };
  send(4_000_000);
  expectLinear(send, 1_000_000);
});

test("a slow reader gets 20 MB whole, and the end after the last byte", async () => {
  const total = 20 << 20;
  const chunk = Buffer.alloc(256 << 10, "0123456789abcdef");
  const pool = new SendPool({ lowBytes: 64 << 10, highBytes: 256 << 10, maxBytes: 1 << 20 });
  let most = 0;
  interface Sender {
    readonly buffer: SendBuffer;
    left: number;
  }
  const send = (socket: TcpSocket<Sender>): void => {
    const { data } = socket;
    while (data.left > 0 && !data.buffer.isFull) {
      data.buffer.write(socket, chunk, 0, chunk.length);
      data.left -= chunk.length;
      most = Math.max(most, data.buffer.waiting);
    }
    if (data.left === 0) data.buffer.end(socket);
  };
  const listener = listenTcp<Sender>(
    { hostname: "127.0.0.1", port: 0 },
    {
      open(socket) {
        socket.data = { buffer: new SendBuffer(pool), left: total };
        send(socket);
      },
      data() {},
      drain(socket) {
        socket.data.buffer.flush(socket);
        if (socket.data.left > 0 && socket.data.buffer.isLow) send(socket);
      },
      end() {},
      close() {},
    },
  );
  const client = await RawClient.connect({ port: listener.port });
  for (let i = 0; i < 10; i++) {
    client.pause();
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    client.resume();
    const wanted = Math.min(total, client.bytesReceived + (1 << 20));
    await client.until(() => client.bytesReceived >= wanted, "another megabyte");
  }
  const text = await client.untilEnd();
  expect(client.wasReset).toBe(false);
  expect(text.length).toBe(total);
  expect(Bun.hash(text)).toBe(Bun.hash("0123456789abcdef".repeat(total / 16)));
  expect(most).toBeLessThanOrEqual(512 << 10);
  listener.stop();
});

test("while much is held for all together, a producer is to pause sooner", () => {
  const held = new HeldBytes(1 << 20);
  const kernel = new Kernel();
  const buffer = new SendBuffer(new SendPool(limits, 0, held), { shed() {} });
  buffer.write(kernel, new Uint8Array(501), 0, 501);
  const other = new Held(held, { shed() {} });
  const full: boolean[] = [buffer.isFull];
  other.set(600_000);
  full.push(buffer.isFull);
  other.set(0);
  full.push(buffer.isFull);
  expect(full).toEqual([false, true, false]);
});

test("a block that the pool does not keep is freed at once", () => {
  const pool = new SendPool(limits, 4 * 65_536);
  const blocks = [1, 2, 3].map(() => pool.take(false));
  for (const block of blocks) pool.giveBack(block);
  expect(blocks.map(({ bytes }) => bytes.length)).toEqual([65_536, 65_536, 0]);
});
