/** Unary calls on our own codec: with callers and servers of others at the far end. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect as connectSocket, createServer as createTcpServer } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import { systemClock } from "../core/clock.ts";
import { systemRandom } from "../core/random.ts";
import { Http2Client } from "../testing/http2-runtime.ts";
import { CallFault, CallStatus } from "./call-fault.ts";
import {
  CheckRequestSchema,
  CheckResponseSchema,
  Mixer,
  ReportResponseSchema,
} from "./gen/istio/mixer/v1/mixer_pb.ts";
import { GrpcClient } from "./grpc-client.ts";
import { framed, octets } from "./grpc-text.ts";
import type { CallAnswer } from "./outgoing-call.ts";
import type { ApiServer } from "./serve.ts";
import { serveUnary } from "./serve-unary.ts";
import { unaryMethod } from "./unary-method.ts";

let server: ApiServer;
const MESSAGE_MAX = 100_000;

/** Says back, as words, what it was asked with; "fail" fails, "never" waits, "large" is long. */
const methods = [
  unaryMethod(Mixer.method.check, async ({ deduplicationId: id }, metadata) => {
    if (id === "never") await new Promise(() => {});
    if (id === "fail") throw new CallFault(CallStatus.invalidArgument, "no: 100 % über");
    metadata.setHeader("x-answer", "from the server");
    const message = id === "large" ? "x".repeat(300_000) : `${id} ${metadata.header("x-word")}`;
    return create(CheckResponseSchema, { precondition: { status: { message } } });
  }),
  unaryMethod(Mixer.method.report, async () => create(ReportResponseSchema)),
];

beforeAll(async () => {
  server = await serveUnary({
    ...{ hostname: "127.0.0.1", port: 0, clock: systemClock, methods },
    ...{ messageBytesMax: MESSAGE_MAX, heldBytesMax: 1 << 20, callsMax: 100 },
    fetch: () => new Response("nothing here", { status: 404 }),
  });
});
afterAll(() => server.close());

const url = (): string => `http://127.0.0.1:${server.port}`;
const transports: [name: string, make: () => Transport][] = [
  ["gRPC", () => createGrpcTransport({ baseUrl: url() })],
  ["gRPC-Web, HTTP/1.1", () => createGrpcWebTransport({ baseUrl: url(), httpVersion: "1.1" })],
  ["gRPC-Web, HTTP/2", () => createGrpcWebTransport({ baseUrl: url(), httpVersion: "2" })],
  ["Connect, HTTP/1.1", () => createConnectTransport({ baseUrl: url(), httpVersion: "1.1" })],
  ["Connect, HTTP/2", () => createConnectTransport({ baseUrl: url(), httpVersion: "2" })],
  [
    "Connect with JSON",
    () => createConnectTransport({ baseUrl: url(), httpVersion: "2", useBinaryFormat: false }),
  ],
];

test.each(transports)("a caller of %s is answered, with headers both ways", async (_, make) => {
  const seen: string[] = [];
  const answer = await createClient(Mixer, make()).check(
    { deduplicationId: "one" },
    { headers: { "x-word": "hello" }, onHeader: (headers) => seen.push(headers.get("x-answer")!) },
  );
  expect(answer.precondition?.status?.message).toBe("one hello");
  expect(seen).toEqual(["from the server"]);
});

test.each(transports)("a caller of %s is refused in words", async (_, make) => {
  const fault = await createClient(Mixer, make())
    .check({ deduplicationId: "fail" })
    .catch((thrown) => ConnectError.from(thrown));
  expect(fault).toMatchObject({ code: Code.InvalidArgument, rawMessage: "no: 100 % über" });
});

test.each(transports)("a long answer passes the windows of %s", async (_, make) => {
  const answer = await createClient(Mixer, make()).check({ deduplicationId: "large" });
  expect(answer.precondition?.status?.message.length).toBe(300_000);
});

test.each(transports)("a message beyond the limit is refused to %s", async (_, make) => {
  const fault = await createClient(Mixer, make())
    .check({ deduplicationId: "x".repeat(MESSAGE_MAX + 1) })
    .catch((thrown) => ConnectError.from(thrown));
  expect(fault).toMatchObject({ code: Code.ResourceExhausted });
});

test("grpc-js: many calls at a time, and one more method that is not there", async () => {
  const client = new grpc.Client(`127.0.0.1:${server.port}`, grpc.credentials.createInsecure());
  const call = (path: string, id: string): Promise<string> =>
    new Promise((resolve) => {
      client.makeUnaryRequest(
        path,
        (value: string) =>
          Buffer.from(
            toBinary(CheckRequestSchema, create(CheckRequestSchema, { deduplicationId: value })),
          ),
        (bytes) => fromBinary(CheckResponseSchema, bytes).precondition?.status?.message,
        id,
        (error, message) => resolve(error?.details ?? message ?? ""),
      );
    });
  const path = "/istio.mixer.v1.Mixer/Check";
  const ids = Array.from({ length: 300 }, (_, i) => String(i));
  expect(await Promise.all(ids.map((id) => call(path, id)))).toEqual(
    ids.map((id) => `${id} undefined`),
  );
  expect(await call("/istio.mixer.v1.Mixer/Quota", "")).toBe(
    "/istio.mixer.v1.Mixer/Quota is not served here",
  );
  client.close();
});

const grpcHeaders = {
  ":method": "POST",
  ":path": "/istio.mixer.v1.Mixer/Check",
  "content-type": "application/grpc",
  te: "trailers",
};

test.each<[what: string, body: Uint8Array, status: string]>([
  ["nothing", new Uint8Array(0), "13"],
  ["half a prefix", new Uint8Array([0, 0, 0]), "13"],
  ["more than was announced", new Uint8Array([0, 0, 0, 0, 0, 0x1a, 0]), "13"],
  ["less than was announced", new Uint8Array([0, 0, 0, 0, 9, 1]), "13"],
  ["two messages", new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "13"],
  ["no protobuf", new Uint8Array([0, 0, 0, 0, 1, 0xff]), "13"],
  ["something compressed", new Uint8Array([1, 0, 0, 0, 0]), "12"],
])("a body of %s ends the call, not the connection", async (_, body, status) => {
  const client = new Http2Client(server.port);
  const answer = await client.request(grpcHeaders, body);
  expect([answer.status, answer.headers["grpc-status"]]).toEqual([200, status]);
  const good = await client.request(grpcHeaders, new Uint8Array([0, 0, 0, 0, 0]));
  expect(good.trailers?.["grpc-status"]).toBe("0");
  client.close();
});

test.each(["//", "/istio.mixer.v1.Mixer/Check?encoding=%", "/%zz", "/a/../b", "*x"])(
  "a target like %j, that is no gRPC, is answered and breaks nothing",
  async (target) => {
    const client = new Http2Client(server.port);
    const head = { ":method": "POST", ":path": target, "content-type": "application/json" };
    const answer = await client
      .request({ ...head, "x-odd": "\u00e9" }, "{}")
      .catch(() => ({ status: 400 }));
    expect(answer.status).toBeWithin(200, 500);
    const good = await client.request(grpcHeaders, new Uint8Array([0, 0, 0, 0, 0]));
    expect(good.trailers?.["grpc-status"]).toBe("0");
    client.close();
  },
);

test("many calls that never end are bounded too", async () => {
  const clients = Array.from({ length: 4 }, () => new Http2Client(server.port));
  const answers: unknown[] = [];
  for (const { session } of clients)
    for (let i = 0; i < 90; i++) {
      const stream = session.request({ ":authority": "a", ...grpcHeaders }, { endStream: false });
      stream.on("error", () => {});
      stream.on("response", (headers) => answers.push(headers["grpc-status"]));
    }
  const endMs = performance.now() + 10_000;
  while (answers.length < 360 - 256) {
    if (performance.now() > endMs) throw new Error(`${answers.length} were refused`);
    await Bun.sleep(5);
  }
  expect(new Set(answers)).toEqual(new Set(["8"]));
  for (const client of clients) client.close();
});

test("what callers have us hold is bounded over all of them", async () => {
  const clients = Array.from({ length: 12 }, () => new Http2Client(server.port));
  const part = new Uint8Array(99_000);
  part.set([0, 0, 1, 0x86, 0]);
  const streams = clients.map(({ session }) => {
    const stream = session.request({ ":authority": "a", ...grpcHeaders }, { endStream: false });
    stream.on("error", () => {});
    stream.write(part);
    return stream;
  });
  const refused = await Promise.any(
    streams.map(
      (stream) =>
        new Promise<unknown>((resolve) => {
          stream.on("response", (headers) => resolve(headers["grpc-status"]));
        }),
    ),
  );
  expect(refused).toBe("8");
  for (const client of clients) client.close();
  const after = await createClient(Mixer, createGrpcTransport({ baseUrl: url() })).check({});
  expect(after.precondition?.status?.message).toBe(" undefined");
});

test("whoever speaks no HTTP/2 after its preface is left", async () => {
  const socket = connectSocket(server.port, "127.0.0.1");
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage, and more of it than a frame's header");
  await new Promise((resolve) => socket.on("close", resolve).on("data", () => {}));
});

/** A client of ours to a server of grpc-js, or of nothing good. */
function clientTo(port: number): {
  client: GrpcClient;
  call: (ms?: number) => Promise<CallAnswer>;
} {
  const client = new GrpcClient({
    ...{ hostname: "127.0.0.1", port, clock: systemClock, random: systemRandom },
    ...{ connectMs: 300, callsMax: 100, answerBytesMax: MESSAGE_MAX },
  });
  const request = framed(CheckRequestSchema, create(CheckRequestSchema, { deduplicationId: "q" }));
  const call = (timeoutMs = 2_000): Promise<CallAnswer> =>
    new Promise((resolve) => {
      const headers = "x-word: from us\r\n";
      client.call(Mixer.method.check, request, { timeoutMs, headers, onAnswer: resolve });
    });
  return { client, call };
}

test("our client is answered by our server", async () => {
  const { client, call } = clientTo(server.port);
  const answers = await Promise.all(Array.from({ length: 90 }, () => call()));
  for (const answer of answers) {
    if (!answer.ok) throw new Error(answer.reason);
    const { precondition } = fromBinary(CheckResponseSchema, answer.message);
    expect(precondition?.status?.message).toBe("q from us");
    expect(answer.header("x-answer")).toBe("from the server");
  }
  expect([client.state, client.callsUnderWay]).toEqual(["open", 0]);
  client.close();
});

test("our client is answered by a server of grpc-js", async () => {
  const peer = new grpc.Server();
  const identity = { requestSerialize: Buffer.from, requestDeserialize: (b: Buffer) => b };
  peer.addService(
    {
      Check: {
        ...{ path: "/istio.mixer.v1.Mixer/Check", requestStream: false, responseStream: false },
        ...identity,
        ...{
          responseSerialize: (b: Uint8Array) => Buffer.from(b),
          responseDeserialize: Buffer.from,
        },
      },
    } as never,
    {
      Check: (
        { metadata }: { metadata: grpc.Metadata },
        answer: (error: object | null, bytes?: Uint8Array) => void,
      ) =>
        metadata.get("x-word")[0] === "from us"
          ? answer(null, toBinary(CheckResponseSchema, create(CheckResponseSchema)))
          : answer({ code: 3, details: "who?" }),
    } as never,
  );
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = grpc.ServerCredentials.createInsecure();
    peer.bindAsync("127.0.0.1:0", credentials, (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const { client, call } = clientTo(port);
  expect((await call()).ok).toBe(true);
  client.close();
  peer.forceShutdown();
});

/** A server that takes connections and does one thing with them. */
async function peerThat(does: (socket: import("node:net").Socket) => void) {
  const sockets = new Set<import("node:net").Socket>();
  const peer = createTcpServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    does(socket);
  });
  await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", () => resolve()));
  const { port } = peer.address() as { port: number };
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    peer.close();
  };
  return { port, close };
}

test.each<[what: string, does: (socket: import("node:net").Socket) => void, reason: RegExp]>([
  ["says nothing", () => {}, /does not answer/],
  ["hangs up", (socket) => socket.destroy(), /connection lost/],
  ["speaks HTTP/1.1", (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"), /HTTP\/2|lost/],
  ["sends garbage", (socket) => socket.write(octets("garbage ".repeat(99))), /HTTP\/2/],
])("a server that %s costs a call its limit at most", async (_, does, reason) => {
  const peer = await peerThat(does);
  const { client, call } = clientTo(peer.port);
  const startMs = performance.now();
  const answer = await call(1_000);
  expect(answer).toMatchObject({ ok: false, isLost: true });
  expect(answer.ok ? "" : answer.reason).toMatch(reason);
  expect(performance.now() - startMs).toBeLessThan(900);
  // The next one knows already.
  expect((await call(1_000)).ok).toBe(false);
  client.close();
  peer.close();
});

test("a server that goes and comes back is found again", async () => {
  const port = server.port;
  const { client, call } = clientTo(port);
  expect((await call()).ok).toBe(true);
  await server.close();
  const away = await call(500);
  expect(away).toMatchObject({ ok: false, isLost: true });
  server = await serveUnary({
    ...{ hostname: "127.0.0.1", port, clock: systemClock, methods },
    ...{ messageBytesMax: MESSAGE_MAX, heldBytesMax: 1 << 20, callsMax: 100 },
    fetch: () => new Response("nothing here", { status: 404 }),
  });
  for (let i = 0; !(await call(500)).ok; i++) {
    if (i > 200) throw new Error("not found again");
    await Bun.sleep(10);
  }
  client.close();
});

test("a server that does not say a word within a call's limit is left", async () => {
  const { client, call } = clientTo(server.port);
  expect((await call()).ok).toBe(true);
  const request = framed(
    CheckRequestSchema,
    create(CheckRequestSchema, { deduplicationId: "never" }),
  );
  const answer = await new Promise<CallAnswer>((resolve) => {
    const options = { timeoutMs: 100, headers: "", onAnswer: resolve };
    client.call(Mixer.method.check, request, options);
  });
  expect(answer).toMatchObject({ ok: false, isLost: true });
  expect(client.state).not.toBe("open");
  client.close();
});

test("a cancelled call is told nothing, and its stream ends", async () => {
  const { client } = clientTo(server.port);
  const request = framed(CheckRequestSchema, create(CheckRequestSchema));
  let told = 0;
  const onAnswer = (): void => void told++;
  const options = { timeoutMs: 1_000, headers: "", onAnswer };
  const cancel = client.call(Mixer.method.check, request, options);
  cancel();
  cancel();
  await new Promise((resolve) =>
    client.call(Mixer.method.check, request, { ...options, onAnswer: resolve }),
  );
  expect([told, client.callsUnderWay]).toEqual([0, 0]);
  client.close();
});
