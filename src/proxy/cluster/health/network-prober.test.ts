/** Questions to real servers on loopback. */
import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { systemClock } from "../../../core/clock.ts";
import { TimerWheel } from "../../../io/timer-wheel.ts";
import { FakeUpstream } from "../../../testing/fake-upstream.ts";
import { healthRequest, isServing } from "./grpc-prober.ts";
import type { Probe, ProbeOutcome } from "./health-check.ts";
import { NetworkProber } from "./network-prober.ts";

const timers = new TimerWheel(systemClock);
const prober = new NetworkProber(timers);
const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

function ask(port: number, probe: Probe): Promise<ProbeOutcome> {
  return new Promise((resolve) => prober.start({ address: "127.0.0.1", port }, probe, resolve));
}

function upstream(script?: (reply: { send(text: string): void; end(): void }) => void) {
  const made = new FakeUpstream(script && { script: (_request, reply) => script(reply) });
  closing.push(() => made.close());
  return made;
}

const http = {
  by: "http",
  method: "GET",
  path: "/healthz?full=1",
  host: "",
  headers: [["x-check", "1"]],
  expected: [[200, 299]],
} as const satisfies Probe;

describe("by HTTP", () => {
  test("sends what the policy says, and passes with an expected status", async () => {
    const service = upstream();
    expect(await ask(service.port, http)).toBe("passed");
    expect(service.requests[0]!.head).toBe(
      [
        "GET /healthz?full=1 HTTP/1.1",
        `host: 127.0.0.1:${service.port}`,
        "user-agent: mesh-health-check",
        "x-check: 1",
        "connection: close",
        "",
        "",
      ].join("\r\n"),
    );
  });

  const head = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
  // biome-ignore format: a table reads as a table
  const rows: readonly [answer: string, probe: Probe, outcome: ProbeOutcome][] = [
    ["HTTP/1.1 204 No Content\r\n\r\n",                          http, "passed"],
    ["HTTP/1.1 299 Fine\r\n\r\n",                                http, "passed"],
    ["HTTP/1.1 300 Choose\r\n\r\n",                              http, "failed"],
    ["HTTP/1.1 503 No\r\n\r\n",                                  http, "failed"],
    ["HTTP/1.1 503 No\r\n\r\n", { ...http, expected: [[200, 200], [503, 503]] }, "passed"],
    [`HTTP/1.1 100 Continue\r\n\r\n${head}`,                     http, "passed"],
    ["HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 500 No\r\n\r\n",        http, "failed"],
    ["SSH-2.0-OpenSSH_9.2\r\n",                                  http, "failed"],
    ["HTTP/1.1 200 OK\r\nbad header\r\n\r\n",                    http, "failed"],
    ["HTTP/1.1 200",                                             http, "unreachable"],
    ["",                                                         http, "unreachable"],
    ["HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n", { ...http, method: "HEAD" }, "passed"],
    [`HTTP/1.1 200 OK\r\nx: ${"a".repeat(70_000)}\r\n\r\n`,      http, "failed"],
  ];
  for (const [answer, probe, outcome] of rows)
    test(`${JSON.stringify(answer.slice(0, 60))}: ${outcome}`, async () => {
      const { port } = upstream((reply) => {
        reply.send(answer);
        reply.end();
      });
      expect(await ask(port, probe)).toBe(outcome);
    });

  test("does not wait for the body", async () => {
    const { port } = upstream((reply) =>
      reply.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
    );
    expect(await ask(port, http)).toBe("passed");
  });

  test("is given up without a word", async () => {
    const service = upstream(() => {});
    let told = 0;
    const giveUp = prober.start({ address: "127.0.0.1", port: service.port }, http, () => told++);
    await service.until(() => service.requests.length === 1);
    giveUp();
    await service.until(() => service.openConnections === 0);
    expect(told).toBe(0);
  });
});

test("where nobody listens is unreachable, however one asks", async () => {
  const service = upstream();
  const { port } = service;
  service.close();
  for (const probe of [
    http,
    { by: "tcp", send: new Uint8Array(0), receive: [] },
    { by: "grpc", service: "", authority: "" },
  ] as const)
    expect(await ask(port, probe)).toBe("unreachable");
});

describe("by TCP", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

  /** A server that answers what it gets, in capitals, cut in two at `cut`. */
  function shouting(cut: number): number {
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket, received) {
          const answer = Buffer.from(received.toString().toUpperCase());
          socket.write(answer.subarray(0, cut));
          setTimeout(() => socket.write(answer.subarray(cut)), 1);
        },
      },
    });
    closing.push(() => server.stop(true));
    return server.port;
  }

  test("to connect is enough if nothing is expected", async () => {
    const { port } = upstream();
    expect(await ask(port, { by: "tcp", send: bytes(""), receive: [] })).toBe("passed");
  });

  test("everything expected has to come, in its order, however it is cut", async () => {
    for (const cut of [0, 1, 3, 5, 9])
      expect(
        await ask(shouting(cut), {
          by: "tcp",
          send: bytes("ping pong"),
          receive: [bytes("PING"), bytes("PONG")],
        }),
      ).toBe("passed");
  });

  test("in another order, or once instead of twice, is a bad answer", async () => {
    const { port } = upstream((reply) => {
      reply.send("PING PONG");
      reply.end();
    });
    const send = bytes("GET / HTTP/1.1\r\n\r\n");
    for (const wanted of [
      ["PONG", "PING"],
      ["PING", "PING"],
    ])
      expect(await ask(port, { by: "tcp", send, receive: wanted.map(bytes) })).toBe("failed");
  });

  test("a connection that ends without it is a bad answer", async () => {
    const { port } = upstream((reply) => {
      reply.send("-ERR");
      reply.end();
    });
    const probe = { by: "tcp", send: bytes("GET / HTTP/1.1\r\n\r\n"), receive: [bytes("+OK")] };
    expect(await ask(port, probe as Probe)).toBe("failed");
  });
});

describe("by gRPC", () => {
  /** A health service: status by name of service. */
  async function grpcServer(status: Readonly<Record<string, number>>): Promise<number> {
    const server = createServer();
    server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        const name = Buffer.concat(chunks).subarray(7).toString();
        const known = status[name];
        const found = headers[":path"] === "/grpc.health.v1.Health/Check" && known !== undefined;
        const field = { ":status": 200, "content-type": "application/grpc" };
        if (!found) {
          stream.respond({ ...field, "grpc-status": "5" }, { endStream: true });
          return;
        }
        stream.respond(field, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end(Buffer.from([0, 0, 0, 0, 2, 8, known]));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closing.push(() => server.close());
    return (server.address() as AddressInfo).port;
  }

  // biome-ignore format: a table reads as a table
  const rows: readonly [service: string, outcome: ProbeOutcome][] = [
    ["", "passed"], ["reviews.v1", "passed"], ["down", "failed"], ["unknown", "failed"],
  ];
  test("passes what is SERVING, and nothing else", async () => {
    const port = await grpcServer({ "": 1, "reviews.v1": 1, down: 2 });
    for (const [service, outcome] of rows)
      expect(await ask(port, { by: "grpc", service, authority: "" })).toBe(outcome);
  });

  test("an HTTP/1 server is no gRPC server", async () => {
    const { port } = upstream();
    const outcome = await ask(port, { by: "grpc", service: "", authority: "" });
    expect(outcome).not.toBe("passed");
  });

  // biome-ignore format: a table reads as a table
  const frames: readonly [frame: number[], serving: boolean][] = [
    [[0, 0, 0, 0, 2, 8, 1],        true],
    [[0, 0, 0, 0, 4, 8, 2, 8, 1],  true],
    [[0, 0, 0, 0, 4, 8, 1, 8, 2],  false],
    [[0, 0, 0, 0, 2, 8, 2],        false],
    [[0, 0, 0, 0, 0],              false],
    [[1, 0, 0, 0, 2, 8, 1],        false],
    [[0, 0, 0, 0, 2, 8, 1, 0],     false],
    [[0, 0, 0, 0, 1, 8],           false],
    [[0, 0, 0, 0, 3, 8, 129, 0],   false],
    [[0, 0, 0, 0, 2, 16, 1],       false],
    [[],                           false],
  ];
  for (const [frame, serving] of frames)
    test(`[${frame}] is ${serving ? "SERVING" : "not"}`, () => {
      expect(isServing(Uint8Array.from(frame))).toBe(serving);
    });

  test("a frame that is cut anywhere is not SERVING", () => {
    const frame = Uint8Array.from([0, 0, 0, 0, 2, 8, 1]);
    for (let to = 0; to < frame.length; to++) expect(isServing(frame.subarray(0, to))).toBe(false);
  });

  test("the request names the service", () => {
    expect([...healthRequest("")]).toEqual([0, 0, 0, 0, 0]);
    expect([...healthRequest("ab")]).toEqual([0, 0, 0, 0, 4, 10, 2, 97, 98]);
    expect([...healthRequest("x".repeat(300)).subarray(0, 8)]).toEqual([
      0, 0, 0, 1, 47, 10, 172, 2,
    ]);
  });
});
