/** Peers of HTTP/2 that keep the proxy waiting: how long it does, and how it ends. */
import { afterEach, describe, expect, test } from "bun:test";
import { Log } from "../../core/log.ts";
import { Flag, FrameType, preface } from "../../http2/frame.ts";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";
import {
  codeName,
  frame,
  getRequest,
  headers,
  hello,
  join,
  literals,
  readFrames,
  settings,
  uint32,
} from "../../testing/http2-peer.ts";
import { RawClient } from "../../testing/raw-client.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { MESH_SETTING } from "../transport/mesh-socket.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const acknowledged = frame(FrameType.settings, Flag.ack, 0, "");
const ready = join([hello, acknowledged]);
const noWindow = join([preface, settings([4, 0]), acknowledged]);
const sidecar = join([preface, settings([MESH_SETTING, 1]), acknowledged]);
const large = "x".repeat(1 << 20);

/** A proxy in front of a service that answers with a megabyte, its clock in our hands. */
async function setUp(options: Partial<EngineFixtureOptions> = {}) {
  const clock = new VirtualClock();
  clock.advance(1_000);
  const lines: string[] = [];
  const log = new Log("proxy", { level: "warn" }, (line) => void lines.push(line.trimEnd()));
  const script: FakeScript = (request, reply) =>
    reply.respond(200, request.target === "/" ? large : large.repeat(4));
  const service = new FakeUpstream({ script });
  const mesh = new EngineFixture({ endpoints: [service.port], clock, log, ...options });
  closers.push(() => service.close());
  closers.push(() => mesh.close());
  const connect = async (): Promise<Raw> => {
    const client = await RawClient.connect({ port: mesh.port });
    closers.push(() => client.terminate());
    return new Raw(client);
  };
  return { clock, mesh, lines, connect, client: await connect() };
}

/** What the proxy says, frame by frame. */
class Raw {
  readonly client: RawClient;

  constructor(client: RawClient) {
    this.client = client;
  }

  async says(bytes: Uint8Array): Promise<void> {
    this.client.send(bytes);
    await this.client.sent();
  }

  /** "settings", "ping", "rstStream CANCEL", "goaway NO_ERROR" and so on, of whole frames. */
  get heard(): string[] {
    const bytes = Buffer.from(this.client.received, "latin1");
    const names = Object.keys(FrameType);
    return readFrames(wholeFrames(bytes)).map(({ type, flags, payload }) => {
      const view = Buffer.from(payload);
      const name = names[type]!;
      if (type === FrameType.goaway) return `${name} ${codeName(view.readUInt32BE(4))}`;
      if (type === FrameType.rstStream) return `${name} ${codeName(view.readUInt32BE(0))}`;
      return (flags & Flag.ack) !== 0 && type !== FrameType.data ? `${name} ack` : name;
    });
  }

  hears(what: string): Promise<void> {
    return this.client.until(() => this.heard.includes(what), what);
  }

  over(): Promise<void> {
    return this.client.until(() => this.client.ended, "the end of the connection");
  }

  /** Returns when the proxy has read all that was said: it has answered a PING. */
  async understood(): Promise<void> {
    await this.says(frame(FrameType.ping, 0, 0, "12345678"));
    await this.hears("ping ack");
  }
}

function wholeFrames(bytes: Buffer): Uint8Array {
  let at = 0;
  while (bytes.length - at >= 9 && at + 9 + bytes.readUIntBE(at, 3) <= bytes.length)
    at += 9 + bytes.readUIntBE(at, 3);
  return bytes.subarray(0, at);
}

function counter(mesh: EngineFixture, name: string): number {
  const line = mesh
    .scrape()
    .split("\n")
    .find((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`));
  return Number(line?.split(" ").at(-1) ?? Number.NaN);
}

describe("after 10 seconds a client is sent away that has not", () => {
  const half = headers(1, getRequest).subarray(0, 20);
  const open = frame(FrameType.headers, Flag.endStream, 1, literals(getRequest));
  const rows: readonly (readonly [what: string, says: Uint8Array, code: string, why: string])[] = [
    ["said its SETTINGS", preface, "SETTINGS_TIMEOUT", "http2-settings-timeout"],
    ["finished them", hello.subarray(0, -2), "SETTINGS_TIMEOUT", "http2-settings-timeout"],
    ["acknowledged ours", hello, "SETTINGS_TIMEOUT", "http2-settings-timeout"],
    ["finished a frame", join([ready, half]), "ENHANCE_YOUR_CALM", "request-head-timeout"],
    ["finished a head", join([ready, open]), "ENHANCE_YOUR_CALM", "request-head-timeout"],
  ];
  test.each(rows)("%s", async (_what, says, code, why) => {
    const { client, clock, mesh, lines } = await setUp();
    await client.says(says);
    await client.hears("settings");
    clock.advance(9_900);
    expect(client.heard.filter((one) => one.startsWith("goaway"))).toEqual([]);
    clock.advance(200);
    await client.over();
    expect(client.heard.at(-1)).toBe(`goaway ${code}`);
    const counted = `mesh_http2_connections_ended_total{reason="${why}"}`;
    expect(counter(mesh, counted)).toBe(1);
    expect(lines.join()).toContain(`reason=${why}`);
    clock.advance(2_000);
    expect(mesh.engine.stats().downstreamConnections).toBe(0);
  });
});

test("a head whose octets come one by one is late all the same", async () => {
  const { client, clock } = await setUp();
  await client.says(ready);
  await client.understood();
  const head = headers(1, getRequest);
  for (let i = 0; i < 25; i++) {
    client.client.send(head.subarray(i, i + 1));
    await client.client.sent();
    clock.advance(1_000);
    await Bun.sleep(1);
  }
  await client.over();
  expect(client.heard).toContain("goaway ENHANCE_YOUR_CALM");
});

test("a connection without streams ends after a minute, answered or not", async () => {
  const { client, clock, mesh } = await setUp();
  await client.says(ready);
  await client.understood();
  clock.advance(59_000);
  expect(client.heard).not.toContain("goaway NO_ERROR");
  clock.advance(2_000);
  await client.hears("goaway NO_ERROR");
  await client.hears("ping");
  clock.advance(1_100);
  await client.over();
  expect(client.heard.filter((one) => one === "goaway NO_ERROR").length).toBe(2);
  expect(mesh.engine.stats().downstreamConnections).toBe(0);
});

test("PING keeps no connection that has no streams", async () => {
  const { client, clock } = await setUp();
  await client.says(ready);
  for (let i = 0; i < 7; i++) {
    await client.understood();
    clock.advance(9_000);
  }
  await client.hears("goaway NO_ERROR");
});

test("a stream whose window stays shut is reset after five minutes, and counted", async () => {
  const { client, clock, mesh } = await setUp();
  await client.says(join([noWindow, headers(1, request("svc"))]));
  await client.hears("headers");
  await client.understood();
  clock.advance(299_000);
  expect(client.heard.filter((one) => one.startsWith("rst"))).toEqual([]);
  clock.advance(2_000);
  await client.hears("rstStream ENHANCE_YOUR_CALM");
  expect(counter(mesh, "envoy_http2_tx_flush_timeout")).toBe(1);
  expect(mesh.engine.stats()).toMatchObject({ exchanges: 0, bytesWaiting: 0 });
});

test("a client that takes nothing at all is cut off after five minutes", async () => {
  const { client, clock, mesh, lines } = await setUp();
  const wide = join([
    preface,
    settings([4, 0x7fffffff]),
    acknowledged,
    frame(FrameType.windowUpdate, 0, 0, uint32(0x7fff0000 - 65_535)),
  ]);
  const asked = Array.from({ length: 40 }, (_, i) =>
    headers(2 * i + 1, request("svc", "GET", "/larger")),
  );
  await client.says(wide);
  await client.understood();
  client.client.pause();
  await client.says(join(asked));
  // It is more than the kernel keeps for anybody.
  let waited = 0;
  await until(() => mesh.engine.stats().bytesWaiting > 0);
  for (; mesh.engine.stats().downstreamConnections > 0; waited += 10_000) {
    clock.advance(10_000);
    await Bun.sleep(2);
  }
  expect(waited).toBeGreaterThan(290_000);
  expect(waited).toBeLessThan(500_000);
  const ended = 'mesh_http2_connections_ended_total{reason="downstream-takes-nothing"}';
  expect(counter(mesh, ended)).toBe(1);
  expect(lines.at(-1)).toContain("reason=downstream-takes-nothing");
});

test("a sidecar that falls silent under its streams is given up within seconds", async () => {
  const { client, clock, mesh } = await setUp();
  await client.says(join([sidecar, headers(1, request("svc", "POST"), false)]));
  await client.understood();
  clock.advance(2_100);
  await client.hears("ping");
  clock.advance(3_900);
  expect(client.client.ended).toBe(false);
  clock.advance(200);
  await client.over();
  expect(counter(mesh, "envoy_http2_keepalive_timeout")).toBe(1);
});

test("requests at a sidecar that vanished are tried elsewhere within seconds", async () => {
  let asked = 0;
  // What a sidecar says first, and not a word more.
  const first = join([settings([MESH_SETTING, 1]), acknowledged]);
  const vanished = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void socket.write(first),
      data: () => void asked++,
    },
  });
  closers.push(() => vanished.stop(true));
  const service = new FakeUpstream({ script: (_, reply) => reply.respond(200, "elsewhere") });
  closers.push(() => service.close());
  const far = new EngineFixture({ endpoints: [service.port] });
  closers.push(() => far.close());
  const { clock, mesh } = await setUp({
    endpoints: [vanished.port, far.listenInbound(service.port)],
    meshTransport: true,
    route: { retry: { attempts: 1 } },
  });
  const clients = [await mesh.connect(), await mesh.connect()];
  for (const client of clients) {
    closers.push(() => client.terminate());
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
  }
  await until(() => asked > 1);
  // Slowly enough for those to answer that are there.
  for (let ms = 0; ms < 7_000; ms += 50) {
    clock.advance(50);
    await Bun.sleep(1);
  }
  for (const client of clients) expect((await client.takeResponse()).body).toBe("elsewhere");
  expect(counter(mesh, "envoy_http2_keepalive_timeout")).toBe(1);
});

test("other clients are not asked: they may be silent as long as their streams are", async () => {
  const { client, clock } = await setUp();
  await client.says(join([ready, headers(1, request("svc", "POST"), false)]));
  await client.understood();
  clock.advance(60_000);
  await client.understood();
  expect(client.heard).not.toContain("ping");
});

test("what is held for clients that do not read is bounded, and who reads stays", async () => {
  const { connect, mesh, clock } = await setUp({ limits: { heldBytesMax: 2 << 20 } });
  const reader = await connect();
  await reader.says(ready);
  const slow = await Promise.all(Array.from({ length: 20 }, () => connect()));
  for (const one of slow) await one.says(join([noWindow, headers(1, request("svc"))]));
  const shed = (one: Raw): boolean => one.heard.includes("rstStream ENHANCE_YOUR_CALM");
  await until(() => slow.some(shed));
  expect(slow.every(shed)).toBe(false);
  await reader.says(headers(1, request("svc")));
  await reader.hears("data");
  clock.advance(100);
  expect(mesh.engine.stats().bytesWaiting).toBeLessThan(4 << 20);
});

test("a client that asks on and on for what it does not take is sent away", async () => {
  const { connect, mesh } = await setUp({ limits: { heldBytesMax: 1 << 20 } });
  const greedy = await connect();
  const asked = Array.from({ length: 100 }, (_, i) => headers(2 * i + 1, request("svc")));
  await greedy.says(join([noWindow, ...asked]));
  await greedy.hears("goaway ENHANCE_YOUR_CALM");
  const counted = 'mesh_http2_connections_ended_total{reason="http2-untaken-answers"}';
  expect(counter(mesh, counted)).toBe(1);
});

function request(host: string, method = "GET", path = "/"): (readonly [string, string])[] {
  return [
    [":method", method],
    [":scheme", "http"],
    [":path", path],
    [":authority", host],
  ];
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; !holds(); i++) {
    if (i > 2_000) throw new Error("it never came to be");
    await Bun.sleep(1);
  }
}

describe("whoever floods", () => {
  const pings = (count: number): Uint8Array =>
    join(Array.from({ length: count }, () => frame(FrameType.ping, 0, 0, "12345678")));

  test("hears why at once, is read no more, and is let go a second later", async () => {
    const { clock, client } = await setUp();
    await client.says(join([ready, pings(501)]));
    await client.hears("goaway ENHANCE_YOUR_CALM");
    const { length } = client.heard;
    client.client.send(pings(10));
    clock.advance(900);
    await Bun.sleep(0);
    expect(client.client.ended).toBe(false);
    clock.advance(200);
    await client.over();
    expect(client.heard.length).toBe(length);
  });

  test("begins with small budgets when it comes back, for a minute", async () => {
    const { clock, client, connect } = await setUp();
    await client.says(join([ready, pings(501)]));
    await client.hears("goaway ENHANCE_YOUR_CALM");
    const again = await connect();
    await again.says(join([ready, pings(63)]));
    await again.hears("goaway ENHANCE_YOUR_CALM");
    clock.advance(61_000);
    const later = await connect();
    await later.says(join([ready, pings(400)]));
    await later.understood();
    expect(later.heard).not.toContain("goaway ENHANCE_YOUR_CALM");
  });
});
