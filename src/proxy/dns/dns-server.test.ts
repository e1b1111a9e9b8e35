/**
 * An application asks, by the resolver library that it has; the mesh's names are answered here, the
 * rest by resolvers of the machine, some of which are silent, wrong, or hostile.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { Resolver } from "node:dns/promises";
import type { SocketAddress } from "../../io/socket-address.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { answerTo, question } from "../../testing/dns-question.ts";
import { FakeResolver, type Reply } from "../../testing/fake-resolver.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { DnsServer } from "./dns-server.ts";

import { NameTable } from "./name-table.ts";
import { frame, StreamFrames } from "./stream-frame.ts";
import { withId } from "./wire.ts";

const names = new NameTable(
  [
    { names: ["reviews", "reviews.default.svc.cluster.local"], addresses: ["240.240.1.2"] },
    { names: ["ratings"], addresses: ["10.0.0.9", "fd00::9"] },
    {
      names: ["many"],
      addresses: Array.from({ length: 200 }, (_, i) => `10.1.0.${i}`),
    },
  ],
  ["corp.example"],
);
const fixed: Reply = (asked) => answerTo(asked, "192.0.2.7");
const silent: Reply = () => undefined;

let clock: VirtualClock;
let metrics: Metrics;
let server: DnsServer;
let resolvers: FakeResolver[];
let extra: SocketAddress[];

beforeEach(async () => {
  clock = new VirtualClock();
  metrics = new Metrics();
  extra = [];
  resolvers = [await new FakeResolver(fixed).start(), await new FakeResolver(fixed).start()];
  server = new DnsServer({
    clock,
    metrics,
    names,
    resolvers: () => [...extra, ...resolvers.map(({ address }) => address)],
  });
  await server.listen({ hostname: "127.0.0.1", port: 0 });
});
afterEach(() => {
  server.close();
  for (const resolver of resolvers) resolver.close();
  expect(clock.waiting).toBeLessThanOrEqual(1);
});

function library(): Resolver {
  const resolver = new Resolver({ timeout: 4_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${server.port}`]);
  return resolver;
}

/** One question by UDP; calls `waiting` until the answer is there. */
async function ask(bytes: Uint8Array, waiting = (): void => {}): Promise<Uint8Array> {
  let answer: Uint8Array | undefined;
  const socket = await Bun.udpSocket({
    connect: { hostname: "127.0.0.1", port: server.port },
    binaryType: "uint8array",
    socket: {
      data(_socket, received) {
        answer = received;
      },
    },
  });
  socket.send(bytes);
  await until(() => {
    waiting();
    return answer !== undefined;
  });
  socket.close();
  return answer!;
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${holds}`);
    await Bun.sleep(1);
  }
}

function counted(name: string): string | undefined {
  return new RegExp(`^${name} (.*)$`, "m").exec(renderPrometheus([metrics]))?.[1];
}

const codeOf = (answer: Uint8Array): number => answer[3]! & 0xf;
const lastAddress = (answer: Uint8Array): string => answer.subarray(-4).join(".");

test("names of the mesh, in any letters, also with a search domain", async () => {
  expect(await library().resolve4("reviews", { ttl: true })).toEqual([
    { address: "240.240.1.2", ttl: 30 },
  ]);
  expect(await library().resolve4("Reviews.Default.svc.cluster.local")).toEqual(["240.240.1.2"]);
  expect(await library().resolve4("reviews.corp.example")).toEqual(["240.240.1.2"]);
  expect(await library().resolve6("ratings")).toEqual(["fd00::9"]);
  expect(resolvers.flatMap(({ asked }) => asked)).toEqual([]);
});

test("a name of the mesh without an address of the kind is there, and empty", async () => {
  for (const type of [28, 15, 255]) {
    const answer = await ask(question("reviews", { type }));
    // No error, authoritative, one record: how long that may be remembered.
    expect(answer.subarray(2, 12).toHex()).toBe("85800001000000010000");
  }
  await expect(library().resolve6("reviews")).rejects.toThrow();
  expect(resolvers.flatMap(({ asked }) => asked)).toEqual([]);
});

test("too many addresses for a datagram come by TCP", async () => {
  expect((await library().resolve4("many")).length).toBe(200);
});

test("names that are published later are answered from then on", async () => {
  server.names = new NameTable([{ names: ["new"], addresses: ["240.240.9.9"] }], []);
  expect(await library().resolve4("new")).toEqual(["240.240.9.9"]);
  expect(await library().resolve4("reviews")).toEqual(["192.0.2.7"]);
});

test("other names are asked of the first resolver, each with another id and port", async () => {
  const seen = new Set<string>();
  for (let i = 0; i < 8; i++) {
    const answer = await ask(question("example.com", { id: 7 }));
    expect([answer[0], answer[1], lastAddress(answer)]).toEqual([0, 7, "192.0.2.7"]);
  }
  for (const { bytes, port } of resolvers[0]!.asked) seen.add(`${bytes[0]} ${bytes[1]} ${port}`);
  expect(seen.size).toBe(8);
  expect(resolvers[1]!.asked).toEqual([]);
  expect(counted("dns_upstream_requests_total")).toBe("8");
});

test("that a name does not exist is passed on", async () => {
  resolvers[0]!.reply = (asked) => answerTo(asked, "", 3);
  await expect(library().resolve4("nosuch.example")).rejects.toMatchObject({ code: "ENOTFOUND" });
});

test.each(["an answer to another question", "a wrong id", "noise", "its own question"])(
  "%s is not taken; the true answer behind it is",
  async (what) => {
    resolvers[0]!.reply = (asked) => {
      const forged: Readonly<Record<string, Uint8Array>> = {
        "an answer to another question": withId(
          answerTo(question("example.org"), "6.6.6.6"),
          (asked[0]! << 8) | asked[1]!,
        ),
        "a wrong id": withId(answerTo(asked, "6.6.6.6"), 1 + ((asked[0]! << 8) | asked[1]!)),
        noise: Uint8Array.of(1, 2, 3),
        "its own question": asked,
      };
      return [forged[what]!, answerTo(asked, "192.0.2.7")];
    };
    expect(lastAddress(await ask(question("example.com")))).toBe("192.0.2.7");
  },
);

test("a silent resolver costs two seconds, then the next is asked", async () => {
  resolvers[0]!.reply = silent;
  resolvers[1]!.reply = (asked) => answerTo(asked, "192.0.2.8");
  let waitedMs = 0;
  const answer = await ask(question("example.com"), () => {
    if (resolvers[0]!.asked.length === 0) return;
    clock.advance(100);
    if (resolvers[1]!.asked.length === 0) waitedMs += 100;
  });
  expect(lastAddress(answer)).toBe("192.0.2.8");
  expect(waitedMs).toBeGreaterThanOrEqual(1_900);
  expect(waitedMs).toBeLessThan(4_000);
});

test("a resolver that is not there, or refuses, is passed over at once", async () => {
  const gone = await new FakeResolver(fixed).start();
  extra = [gone.address];
  gone.close();
  resolvers[0]!.reply = (asked) => answerTo(asked, "", 5);
  resolvers[1]!.reply = (asked) => answerTo(asked, "192.0.2.8");
  expect(lastAddress(await ask(question("example.com")))).toBe("192.0.2.8");
});

test("the failure of every resolver is the failure", async () => {
  for (const resolver of resolvers) resolver.reply = (asked) => answerTo(asked, "", 5);
  expect(codeOf(await ask(question("example.com")))).toBe(5);
  expect(resolvers.map(({ asked }) => asked.length)).toEqual([2, 2]);
});

test("silence of every resolver is a failure in the end", async () => {
  for (const resolver of resolvers) resolver.reply = silent;
  expect(codeOf(await ask(question("example.com"), () => clock.advance(50)))).toBe(2);
  expect(counted("dns_upstream_failures_total")).toBe("1");
});

test("without resolvers only the mesh is known", async () => {
  for (const resolver of resolvers.splice(0)) resolver.close();
  expect(codeOf(await ask(question("example.com")))).toBe(2);
  expect(lastAddress(await ask(question("reviews")))).toBe("240.240.1.2");
});

test("more questions than may be under way fail at once, and hold up nobody", async () => {
  resolvers[0]!.reply = silent;
  const socket = await Bun.udpSocket({
    connect: { hostname: "127.0.0.1", port: server.port },
    socket: { data() {} },
  });
  for (let i = 1; i <= 300; i++) {
    socket.send(question("example.com", { id: i }));
    // The kernel holds only so many datagrams.
    if (i % 50 === 0) await until(() => counted("dns_upstream_requests_total") === String(i));
  }
  expect(counted("dns_upstream_failures_total")).toBe("44");
  expect(lastAddress(await ask(question("reviews")))).toBe("240.240.1.2");
  socket.close();
});

test("what is no question gets no answer, a broken one its code", async () => {
  expect((await ask(question("a").subarray(0, 14))).toHex()).toBe("123481010000000000000000");
  const socket = await Bun.udpSocket({
    connect: { hostname: "127.0.0.1", port: server.port },
    socket: {
      data() {
        throw new Error("answered");
      },
    },
  });
  socket.send(answerTo(question("reviews"), "1.2.3.4"));
  socket.send(Uint8Array.of(1));
  await ask(question("reviews"));
  socket.close();
});

/** What a TCP client receives for `bytes`, until `count` messages or the end. */
async function stream(bytes: Uint8Array, count: number): Promise<readonly Uint8Array[]> {
  const client = await RawClient.connect({ port: server.port });
  client.send(bytes);
  const frames = new StreamFrames(65_535);
  const found: Uint8Array[] = [];
  let read = 0;
  await until(() => {
    const received = Buffer.from(client.received, "latin1");
    found.push(...(frames.push(received.subarray(read)) ?? []));
    read = received.length;
    return found.length === count || client.ended;
  });
  client.terminate();
  return found;
}

test("by TCP several questions may follow each other, to the mesh and beyond", async () => {
  const questions = ["reviews", "example.com", "ratings"].map((name) => frame(question(name)));
  const found = await stream(Buffer.concat(questions), 3);
  expect(found.map(lastAddress).toSorted()).toEqual(["10.0.0.9", "192.0.2.7", "240.240.1.2"]);
  expect(resolvers[0]!.asked.map(({ by }) => by)).toEqual(["tcp"]);
});

test("a resolver that takes no TCP is passed over", async () => {
  const gone = await new FakeResolver(fixed).start();
  extra = [gone.address];
  gone.close();
  expect((await stream(frame(question("example.com")), 1)).map(lastAddress)).toEqual(["192.0.2.7"]);
});

test("a connection ends that sends no message, or too many at once", async () => {
  expect(await stream(Uint8Array.of(0, 0), 1)).toEqual([]);
  resolvers[0]!.reply = silent;
  expect(await stream(Buffer.concat(Array(40).fill(frame(question("example.com")))), 40)).toEqual(
    [],
  );
});
