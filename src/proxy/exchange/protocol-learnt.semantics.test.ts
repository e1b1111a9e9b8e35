/** Applications that did not say what they speak, asked in HTTP/2: Node.js, Python, odd ones. */
import { afterEach, describe, expect, test } from "bun:test";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { EngineFixture } from "../../testing/engine-fixture.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import { Http2Client, Http2Service } from "../../testing/http2-runtime.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

function closing<T extends { close(): void }>(one: T): T {
  closers.push(() => one.close());
  return one;
}

type Protocol = "http" | "http2" | "any";

/** A caller in HTTP/2 of the application at `port`, through the proxy beside it. */
function callerOf(port: number, protocol: Protocol = "any", clock?: VirtualClock) {
  return withMesh(port, protocol, clock).client;
}

function withMesh(port: number, protocol: Protocol = "any", clock?: VirtualClock) {
  const mesh = closing(new EngineFixture({ endpoints: [], ...(clock && { clock }) }));
  return { mesh, client: closing(new Http2Client(mesh.listenInbound(port, protocol))) };
}

/** What it does with each of its connections; how many those were. */
async function odd(accept: (socket: Socket, count: number) => void) {
  const seen = { connections: 0 };
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    accept(socket, ++seen.connections);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

const post = { ":method": "POST", ":path": "/orders" };
const grpc = { ...post, "content-type": "application/grpc", te: "trailers" };
const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

describe("an application that speaks only HTTP/1.1 and did not say so", () => {
  test("answers the first request, with its content, and all that follow", async () => {
    const service = closing(
      new FakeUpstream({ script: (request, reply) => reply.respond(200, request.body) }),
    );
    const { mesh, client } = withMesh(service.port);
    const together = ["a", "b", "c"].map((text) => client.request(post, text));
    expect((await Promise.all(together)).map(({ status, body }) => `${status} ${body}`)).toEqual([
      "200 a",
      "200 b",
      "200 c",
    ]);
    const large = "x".repeat(300_000);
    expect((await client.request(post, large)).body).toBe(large);
    expect(service.requests.filter(({ method }) => method === "POST")).toHaveLength(4);
    expect(mesh.scrape()).toMatch(/upstream_rq_pending_active\{.*inbound.*\} 0/);
  });

  test("is Node.js's http", async () => {
    const server = createHttpServer((request, response) => {
      response.end(`${request.method} ${request.httpVersion}`);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    closing(server);
    const client = callerOf((server.address() as AddressInfo).port);
    expect(await client.request(post, "x")).toMatchObject({ status: 200, body: "POST 1.1" });
  });

  test("is Python's http.server, which answers a preface with bare HTML", async () => {
    const script = `
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = "HTTP/1.1"
  def log_message(self, *_): pass
  def do_GET(self):
    self.send_response(200); self.send_header("content-length", "6"); self.end_headers()
    self.wfile.write(b"python")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()`;
    const child = Bun.spawn(["python3", "-c", script], { stdout: "pipe", stderr: "ignore" });
    closers.push(() => child.kill("SIGKILL"));
    const { value } = await child.stdout.getReader().read();
    const client = callerOf(Number(new TextDecoder().decode(value)));
    expect(await client.request({})).toMatchObject({ status: 200, body: "python" });
  });

  const manners: readonly (readonly [string, (socket: Socket) => void])[] = [
    ["closes", (socket) => socket.end()],
    ["resets", (socket) => socket.resetAndDestroy()],
    ["says nothing", () => {}],
    ["says a little, and closes", (socket) => socket.end("HT")],
    ["speaks another version", (socket) => socket.write("HTTP/1.0 505 No\r\n\r\n")],
  ];
  for (const [name, refuse] of manners)
    test(`whatever it does with a preface: it ${name}`, async () => {
      const { port, seen } = await odd((socket) =>
        socket.on("data", (bytes) => {
          if (bytes.toString("latin1").startsWith("PRI")) refuse(socket);
          else if (bytes.toString("latin1").includes("\r\n\r\n")) socket.write(answer);
        }),
      );
      const client = callerOf(port);
      expect(await client.request({})).toMatchObject({ status: 200, body: "ok" });
      expect(await client.request({})).toMatchObject({ status: 200, body: "ok" });
      expect(seen.connections).toBe(2);
    });

  test("is asked again after a while, when another program may listen", async () => {
    const clock = new VirtualClock();
    let prefaces = 0;
    const { port } = await odd((socket) =>
      socket.on("data", (bytes) => {
        const isPreface = bytes.toString("latin1").startsWith("PRI");
        if (isPreface) prefaces++;
        socket.write(isPreface ? "HTTP/1.1 400 Bad\r\n\r\n" : answer);
      }),
    );
    const client = callerOf(port, "any", clock);
    await client.request({});
    clock.advance(50_000);
    await client.request({});
    expect(prefaces).toBe(1);
    clock.advance(10_000);
    expect(await client.request({})).toMatchObject({ status: 200, body: "ok" });
    expect(prefaces).toBe(2);
  });

  test("tells a call of gRPC what is wrong, at once from the second on", async () => {
    const service = closing(new FakeUpstream({ script: (_, reply) => reply.respond(400, "no") }));
    const client = callerOf(service.port);
    for (let i = 0; i < 2; i++) {
      const { status, headers } = await client.request(grpc, "\0\0\0\0\0");
      expect([status, headers["grpc-status"], headers["x-mesh-reason"]]).toMatchObject([
        200,
        "12",
        expect.stringContaining("upstream-speaks-no-http2"),
      ]);
    }
    expect(service.requests.filter(({ method }) => method === "POST")).toEqual([]);
  });
});

describe("an application that speaks HTTP/2", () => {
  const two = (stream: ServerHttp2Stream): void => {
    stream.respond({ ":status": 200 });
    stream.end("two");
  };

  test("is found in the place of one that did not, once that was seen to be gone", async () => {
    const former = new FakeUpstream({ script: (_, reply) => reply.respond(200, "one") });
    const { port } = former;
    const client = callerOf(port);
    expect(await client.request({})).toMatchObject({ status: 200, body: "one" });
    former.close();
    expect((await client.request({})).status).toBe(503);
    const server = closing(createHttp2Server());
    server.on("stream", two);
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", () => resolve()));
    expect(await client.request({})).toMatchObject({ status: 200, body: "two" });
  });

  test("is not doubted for a connection that failed beside one that works", async () => {
    const server = closing(createHttp2Server({ settings: { maxConcurrentStreams: 1 } }));
    const held: ServerHttp2Stream[] = [];
    server.on("stream", (stream: ServerHttp2Stream) => {
      if (held.length === 0) held.push(stream);
      else two(stream);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const behind = (server.address() as AddressInfo).port;
    const { port } = await odd((socket, count) => {
      if (count > 1) return void socket.end("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
      const through = connect(behind, "127.0.0.1");
      through.on("error", () => {});
      socket.pipe(through).pipe(socket);
    });
    const client = callerOf(port);
    const first = client.request({});
    while (held.length === 0) await Bun.sleep(1);
    expect((await client.request({})).status).toBe(503);
    two(held[0]!);
    expect(await first).toMatchObject({ status: 200, body: "two" });
    expect(await client.request({})).toMatchObject({ status: 200, body: "two" });
  });

  test("is spoken to in HTTP/2, without having said so", async () => {
    const service = closing(
      await Http2Service.start((stream) => {
        stream.respond({ ":status": 200 });
        stream.end("two");
      }),
    );
    expect(await callerOf(service.port).request({})).toMatchObject({ status: 200, body: "two" });
  });

  test("that is not there yet is UNAVAILABLE to a call, and is found when it is", async () => {
    let up = false;
    const service = closing(
      await Http2Service.start((stream) => {
        stream.respond({ ":status": 200 });
        stream.end("two");
      }),
    );
    const { port } = await odd((socket) => {
      if (!up) {
        socket.destroy();
        return;
      }
      const behind = connect(service.port, "127.0.0.1");
      behind.on("error", () => {});
      socket.pipe(behind).pipe(socket);
    });
    const client = callerOf(port);
    expect((await client.request(grpc)).headers["grpc-status"]).toBe("14");
    up = true;
    expect(await client.request(grpc)).toMatchObject({ status: 200, body: "two" });
    // What it has shown itself to speak counts for everybody else too.
    expect(await client.request({})).toMatchObject({ status: 200, body: "two" });
  });
});

describe("what was declared is spoken, whatever comes of it", () => {
  test("HTTP/2 to one that does not understand it", async () => {
    const service = closing(new FakeUpstream({ script: (_, reply) => reply.respond(200, "one") }));
    const { status, headers } = await callerOf(service.port, "http2").request({});
    expect([status, headers["x-mesh-reason"]]).toMatchObject([503, "upstream-connect-failure"]);
  });

  test("HTTP/1.1 to one that would understand more", async () => {
    const { port, seen } = await odd((socket) => socket.on("data", () => socket.write(answer)));
    expect(await callerOf(port, "http").request({})).toMatchObject({ status: 200, body: "ok" });
    expect(seen.connections).toBe(1);
  });
});

test("an address that is said to take the mesh's transport, and does not", async () => {
  const service = closing(new FakeUpstream({ script: (_, reply) => reply.respond(200, "one") }));
  const mesh = closing(new EngineFixture({ endpoints: [service.port], meshTransport: true }));
  const client = closing(new Http2Client(mesh.port));
  expect(await client.request({})).toMatchObject({ status: 200, body: "one" });
});
