/** Unary calls whose server resets them, or leaves and is gone: they are told so at once. */
import { afterEach, expect, test } from "bun:test";
import {
  createSecureServer,
  createServer,
  type Http2Session,
  type Http2Stream,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { type Clock, systemClock } from "../core/clock.ts";
import { seededRandom } from "../core/random.ts";
import { ClientTls } from "../io/tls-settings.ts";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { Authorization, CheckRequestSchema } from "./gen/envoy/service/auth/v3/external_auth_pb.ts";
import { GrpcClient } from "./grpc-client.ts";
import { framed } from "./grpc-text.ts";
import type { CallAnswer } from "./outgoing-call.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const { check } = Authorization.method;
const question = framed(check.input, create(CheckRequestSchema));
const NO_ERROR = 0;
const INTERNAL_ERROR = 2;
const judged = { ":status": 200, "content-type": "application/grpc", "grpc-status": "5" };

/** A server that does this with each call. */
async function clientOf(
  does: (stream: Http2Stream, session: Http2Session) => void,
  { clock = systemClock, connectMs = 20_000 }: { clock?: Clock; connectMs?: number } = {},
) {
  const server = createServer();
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    does(stream, stream.session!);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const client = new GrpcClient({
    ...{ hostname: "127.0.0.1", port, clock, random: seededRandom(1) },
    ...{ connectMs, callsMax: 10, answerBytesMax: 1_000 },
  });
  closers.push(
    () => server.close(),
    () => client.close(),
  );
  return client;
}

const HOUR_MS = 3_600_000;

test("who has proved for a time who it is is asked to do so again after that", async () => {
  const root = new CertificateAuthority();
  const untilMs = Date.now() + HOUR_MS;
  const { chain: cert, key } = root.issue({ name: "x", for: ["DNS:x"], untilMs });
  const server = createSecureServer({ cert, key });
  let sessions = 0;
  server.on("session", () => sessions++);
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.close(INTERNAL_ERROR);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  let passedMs = 0;
  const clock: Clock = {
    nowMs: () => systemClock.nowMs(),
    wallMs: () => systemClock.wallMs() + passedMs,
    after: (ms, callback) => systemClock.after(ms, callback),
  };
  const trust = { file: "roots", pem: root.certificate, count: 1 };
  const expected = { host: "x", uris: new Set<string>() };
  const client = new GrpcClient({
    ...{ hostname: "127.0.0.1", port, clock, random: seededRandom(1) },
    ...{ connectMs: 20_000, callsMax: 10, answerBytesMax: 1_000 },
    tls: new ClientTls({ serverName: "x", expected, roots: { trust }, protocols: ["h2"] }),
  });
  closers.push(
    () => server.close(),
    () => client.close(),
  );
  for (let i = 0; i < 3; i++) await call(client);
  expect(sessions).toBe(1);
  passedMs = 2 * HOUR_MS;
  await call(client);
  expect(sessions).toBe(2);
});

function call(client: GrpcClient): Promise<CallAnswer> {
  return new Promise((resolve) => {
    client.call(check, question, { timeoutMs: 20_000, headers: "", onAnswer: resolve });
  });
}

test("a call that is reset is lost at once, and may have been heard", async () => {
  const client = await clientOf((stream) => stream.close(INTERNAL_ERROR));
  expect(await call(client)).toMatchObject({ ok: false, isLost: true, isSent: true });
  expect(client.callsUnderWay).toBe(0);
});

test("calls of a server that leaves, and then is gone, are lost at once", async () => {
  const client = await clientOf((_, session) => {
    session.goaway();
    session.destroy();
  });
  expect(await call(client)).toMatchObject({ ok: false, isLost: true });
  expect(client.callsUnderWay).toBe(0);
});

test("calls on a connection that is leaving are answered, though no other stands", async () => {
  let judge: (() => void) | undefined;
  const client = await clientOf((stream, session) => {
    judge = () => (stream as ServerHttp2Stream).respond(judged, { endStream: true });
    session.goaway(NO_ERROR, stream.id);
  });
  const first = call(client);
  while (client.state !== "idle" || judge === undefined) await Bun.sleep(1);
  closers.splice(0, 1)[0]!();
  expect(await call(client)).toMatchObject({ ok: false, isLost: true, isSent: false });
  judge();
  expect(await first).toMatchObject({ ok: false, code: 5, isLost: false });
  expect(client.callsUnderWay).toBe(0);
});

test("that we stood still says nothing about a server that was about to answer", async () => {
  const clock = new VirtualClock();
  const client = await clientOf((stream) => stream.close(INTERNAL_ERROR), {
    ...{ clock, connectMs: 500 },
  });
  const answer = call(client);
  for (const ms of [700, 2_000]) {
    clock.stall(ms);
    clock.advance(0);
  }
  expect(await answer).toMatchObject({ ok: false, isLost: true, isSent: true });
});

test("a server that says nothing is left when its time has passed, after a stall too", async () => {
  const stallsMs = [0, 700];
  for (const ms of stallsMs) {
    const clock = new VirtualClock();
    const client = await clientOf(() => {}, { clock, connectMs: 500 });
    const answer = call(client);
    clock.stall(ms);
    // Nothing of the network is heard within one turn.
    clock.advance(0);
    clock.advance(499);
    expect(client.state).toBe("connecting");
    clock.advance(1);
    expect(client.state).toBe("resting");
    expect(await answer).toMatchObject({ isSent: false, reason: "no connection in time" });
  }
});

test("a server that takes the connection and says nothing does not answer", async () => {
  let heard = 0;
  const server = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: {
      data: (_, bytes) => {
        heard += bytes.length;
      },
    },
  });
  closers.push(() => server.stop(true));
  const clock = new VirtualClock();
  const client = new GrpcClient({
    ...{ hostname: "127.0.0.1", port: server.port, clock, random: seededRandom(1) },
    ...{ connectMs: 500, callsMax: 10, answerBytesMax: 1_000 },
  });
  closers.push(() => client.close());
  const answer = call(client);
  while (heard === 0) await Bun.sleep(1);
  clock.advance(500);
  expect(await answer).toMatchObject({ isSent: false, reason: "the server does not answer" });
});
