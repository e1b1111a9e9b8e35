/** HTTP/2 on either side of the proxy, with the runtime's own clients and servers as peers. */
import { afterEach, describe, expect, test } from "bun:test";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";
import {
  contentOf,
  Http2Client,
  type Http2Script,
  Http2Service,
} from "../../testing/http2-runtime.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

function closing<T extends { close(): void }>(one: T): T {
  closers.push(() => one.close());
  return one;
}

function proxyTo(port: number, options: Partial<EngineFixtureOptions> = {}): EngineFixture {
  return closing(new EngineFixture({ endpoints: [port], ...options }));
}

function toHttp1(script: FakeScript, options: Partial<EngineFixtureOptions> = {}) {
  const service = closing(new FakeUpstream({ script }));
  const mesh = proxyTo(service.port, options);
  return { service, mesh, client: closing(new Http2Client(mesh.port)) };
}

const HTTP2 = 3;

async function toHttp2(script: Http2Script, options: Partial<EngineFixtureOptions> = {}) {
  const service = closing(await Http2Service.start(script));
  const mesh = proxyTo(service.port, { cluster: { protocol: HTTP2 }, ...options });
  return { service, mesh, client: closing(new Http2Client(mesh.port)) };
}

describe("HTTP/2 to HTTP/1.1", () => {
  test("a request and its answer", async () => {
    const { client, service } = toHttp1((_, reply) => reply.respond(200, "hello", { "X-Up": "1" }));
    const answer = await client.request({ ":path": "/a?b=c", "x-down": "2" });
    expect(answer).toMatchObject({ status: 200, body: "hello" });
    expect(answer.headers["x-up"]).toBe("1");
    expect(answer.headers["content-length"]).toBe("5");
    expect(service.requests[0]?.target).toBe("/a?b=c");
    expect(service.requests[0]?.field("host")).toBe("svc");
    expect(service.requests[0]?.field("x-down")).toBe("2");
  });

  test("content of known length keeps it, other content is chunked", async () => {
    const { client, service } = toHttp1((request, reply) => reply.respond(200, request.body));
    const known = await client.request({ ":method": "POST", "content-length": "5" }, "known");
    expect(known.body).toBe("known");
    expect(service.requests[0]?.field("content-length")).toBe("5");
    expect(service.requests[0]?.field("transfer-encoding")).toBeUndefined();
    const open = await client.request({ ":method": "POST" }, "open");
    expect(open.body).toBe("open");
    expect(service.requests[1]?.field("transfer-encoding")).toBe("chunked");
  });

  test("a chunked answer with trailers", async () => {
    const { client } = toHttp1((_, reply) =>
      reply.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n" +
          "3\r\nabc\r\n2\r\nde\r\n0\r\nX-End: done\r\n\r\n",
      ),
    );
    const answer = await client.request({});
    expect(answer.body).toBe("abcde");
    expect(answer.trailers?.["x-end"]).toBe("done");
    expect(answer.headers["transfer-encoding"]).toBeUndefined();
  });

  test("an answer that ends with its connection ends the stream", async () => {
    const { client } = toHttp1((_, reply) => {
      reply.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
      reply.end();
    });
    expect((await client.request({})).body).toBe("until the end");
  });

  test("HEAD, 204 and 304 have no content", async () => {
    const { client } = toHttp1((request, reply) => {
      const status = request.target === "/304" ? "304 Not Modified" : "204 No Content";
      reply.send(
        request.method === "HEAD"
          ? "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
          : `HTTP/1.1 ${status}\r\n\r\n`,
      );
    });
    const head = await client.request({ ":method": "HEAD" });
    expect([head.status, head.headers["content-length"], head.body]).toEqual([200, "9", ""]);
    expect((await client.request({ ":path": "/304" })).status).toBe(304);
    expect((await client.request({ ":path": "/204" })).status).toBe(204);
  });

  test("interim answers are passed on", async () => {
    const { client } = toHttp1((_, reply) => {
      reply.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
      reply.respond(200, "ok");
    });
    const answer = await client.request({});
    expect(answer.interim.map((one) => Number(one[":status"]))).toEqual([103]);
    expect(answer.body).toBe("ok");
  });

  test("many exchanges share one downstream connection", async () => {
    const { client, service, mesh } = toHttp1((request, reply) =>
      reply.respond(200, request.target),
    );
    const paths = Array.from({ length: 300 }, (_, i) => `/${i}`);
    const answers = await Promise.all(paths.map((path) => client.request({ ":path": path })));
    expect(answers.map(({ body }) => body)).toEqual(paths);
    expect(mesh.engine.stats().downstreamConnections).toBe(1);
    expect(service.requests.length).toBe(300);
    expect(mesh.engine.stats().exchanges).toBe(0);
  });

  test("replies of our own: no route, no upstream", async () => {
    const { client, service } = toHttp1((_, reply) => reply.respond(200, "ok"));
    const unknown = await client.request({ ":authority": "nobody" });
    expect([unknown.status, unknown.headers["x-mesh-reason"]]).toEqual([404, "no-route"]);
    service.close();
    const gone = await client.request({});
    expect([gone.status, gone.headers["x-mesh-reason"]]).toEqual([503, "upstream-connect-failure"]);
  });

  test("a caller of gRPC is told in gRPC's terms", async () => {
    const { client, service } = toHttp1((_, reply) => reply.respond(200, "ok"));
    service.close();
    const answer = await client.request({ ":method": "POST", "content-type": "application/grpc" });
    expect(answer.status).toBe(200);
    expect(answer.headers["grpc-status"]).toBe("14");
    expect(answer.headers["grpc-message"]).toContain("connect-failure");
    expect(answer.body).toBe("");
  });

  test("a stream that its client resets takes the request from the service", async () => {
    const { client, service } = toHttp1(() => {});
    const stream = client.session.request({ ":authority": "svc", ":path": "/" });
    stream.on("error", () => {});
    await service.until(() => service.requests.length === 1);
    stream.close(8);
    await service.until(() => service.openConnections === 0);
    expect(service.openConnections).toBe(0);
  });
});

describe("WebSocket", () => {
  const asked = { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http" };

  test("from HTTP/2 to an application that speaks HTTP/1.1", async () => {
    const { client, service } = toHttp1((_, reply) =>
      reply.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" +
          "Upgrade: websocket\r\n\r\nhello",
      ),
    );
    await new Promise((resolve) => client.session.once("remoteSettings", resolve));
    const stream = client.session.request({ ...asked, ":authority": "svc", ":path": "/chat" });
    const status = new Promise((resolve) =>
      stream.once("response", (headers) => resolve(Number(headers[":status"]))),
    );
    const greeting = new Promise((resolve) =>
      stream.once("data", (chunk: Buffer) => resolve(chunk.toString())),
    );
    expect(await status).toBe(200);
    expect(await greeting).toBe("hello");
    stream.write("raw bytes");
    await service.until(() => service.received.endsWith("raw bytes"));
    expect(service.requests[0]?.method).toBe("GET");
    expect(service.requests[0]?.field("upgrade")).toBe("websocket");
    expect(service.requests[0]?.field("sec-websocket-key")).toMatch(/^\S{24}$/);
    stream.end();
    await service.until(() => service.openConnections === 0);
  });
});

describe("HTTP/1.1 to HTTP/2", () => {
  test("content of either framing arrives, answers have a framing of their own", async () => {
    const { mesh, service } = await toHttp2(async (stream) => {
      const body = await contentOf(stream);
      stream.respond({ ":status": 200, "x-up": "1" });
      stream.end(`got ${body}`);
    });
    const client = closing({
      raw: await mesh.connect(),
      close() {
        this.raw.terminate();
      },
    }).raw;
    client.send("POST /x HTTP/1.1\r\nHost: svc\r\nContent-Length: 3\r\n\r\nabc");
    expect((await client.takeResponse()).body).toBe("got abc");
    client.send(
      "POST / HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n",
    );
    const second = await client.takeResponse();
    expect(second.body).toBe("got de");
    expect(second.head).toMatch(/transfer-encoding: chunked/i);
    expect(service.seen[0]).toMatchObject({
      ":path": "/x",
      ":authority": "svc",
      ":method": "POST",
    });
    expect(service.connections).toBe(1);
  });

  test("an empty answer has a length", async () => {
    const { mesh } = await toHttp2((stream) => {
      stream.respond({ ":status": 200 }, { endStream: true });
    });
    const client = closing({
      raw: await mesh.connect(),
      close() {
        this.raw.terminate();
      },
    }).raw;
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).head).toMatch(/content-length: 0/i);
  });
});

describe("HTTP/2 to HTTP/2", () => {
  test("trailers of both, and te", async () => {
    const { client, service } = await toHttp2(async (stream) => {
      const body = await contentOf(stream);
      stream.respond(
        { ":status": 200, "content-type": "application/grpc" },
        { waitForTrailers: true },
      );
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(body);
    });
    const answer = await client.request({ ":method": "POST", te: "trailers" }, "message");
    expect(answer.body).toBe("message");
    expect(answer.trailers?.["grpc-status"]).toBe("0");
    expect(service.seen[0]?.te).toBe("trailers");
  });

  test("both directions at once", async () => {
    const { client } = await toHttp2((stream) => {
      stream.respond({ ":status": 200 });
      stream.pipe(stream);
    });
    const stream = closing(client).session.request({
      ":method": "POST",
      ":authority": "svc",
      ":path": "/",
    });
    const echoed: string[] = [];
    stream.setEncoding("latin1");
    for (const word of ["one", "two", "three"]) {
      const answer = new Promise<string>((resolve) => stream.once("data", resolve));
      stream.write(word);
      echoed.push(await answer);
    }
    stream.end();
    expect(echoed).toEqual(["one", "two", "three"]);
  });

  test("4 MB each way, more than any window", async () => {
    const { client } = await toHttp2((stream) => {
      stream.respond({ ":status": 200 });
      stream.pipe(stream);
    });
    const body = "0123456789abcdef".repeat(256 * 1024);
    const answer = await client.request({ ":method": "POST" }, body);
    expect(answer.body.length).toBe(body.length);
    expect(answer.body).toBe(body);
  });
});

describe("a mirror that speaks HTTP/2", () => {
  test("gets head and content of what HTTP/1.1 asks, and its answer goes nowhere", async () => {
    const bodies: string[] = [];
    const mirror = closing(
      await Http2Service.start(async (stream, headers) => {
        bodies.push(`${headers[":path"]} ${await contentOf(stream)}`);
        stream.respond({ ":status": 500 }, { endStream: true });
      }),
    );
    const service = closing(new FakeUpstream({ script: (_, reply) => reply.respond(200, "ok") }));
    const mesh = proxyTo(service.port, {
      others: { shadow: mirror.port },
      othersProtocol: HTTP2,
      route: { mirror: { cluster: "shadow", percent: 100 } },
    });
    const client = await mesh.connect();
    closers.push(() => client.terminate());
    const asked = [
      "GET /a HTTP/1.1\r\nHost: svc\r\n\r\n",
      "POST /b HTTP/1.1\r\nHost: svc\r\nContent-Length: 3\r\n\r\nabc",
      "POST /c HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n",
    ];
    for (const one of asked) {
      client.send(one);
      expect((await client.takeResponse()).body).toBe("ok");
    }
    while (bodies.length < 3) await new Promise((resolve) => setImmediate(resolve));
    expect(bodies.sort()).toEqual(["/a ", "/b abc", "/c de"]);
    expect(mirror.seen[0]?.[":authority"]).toBe("svc-shadow");
  });
});

describe("between sidecars", () => {
  function pair(script: FakeScript, protocol: "http" | "http2" | "any" = "any") {
    const service = closing(new FakeUpstream({ script }));
    const far = proxyTo(service.port);
    const near = proxyTo(far.listenInbound(service.port, protocol), { meshTransport: true });
    return { service, near, far };
  }

  test("many clients share one connection; the letters of their fields are kept", async () => {
    const { near, far, service } = pair((request, reply) =>
      reply.respond(200, request.target, { "X-UPPER": "Yes" }),
    );
    const clients = await Promise.all(Array.from({ length: 50 }, () => near.connect()));
    for (const client of clients) closers.push(() => client.terminate());
    for (let round = 0; round < 3; round++) {
      for (const [i, client] of clients.entries())
        client.send(`GET /${i} HTTP/1.1\r\nHost: svc\r\nX-MiXed: Case\r\n\r\n`);
      for (const [i, client] of clients.entries()) {
        const answer = await client.takeResponse();
        expect(answer.body).toBe(`/${i}`);
        expect(answer.head).toContain("X-UPPER: Yes");
      }
    }
    expect(service.requests[0]?.head).toContain("X-MiXed: Case");
    const { downstreamConnections } = far.engine.stats();
    // One of sockets, and those inside of it.
    expect(downstreamConnections).toBe(51);
  });

  test("large content both ways", async () => {
    const { near } = pair((request, reply) => reply.respond(200, request.body));
    const client = await near.connect();
    closers.push(() => client.terminate());
    const body = "0123456789abcdef".repeat(128 * 1024);
    client.send(`POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    expect((await client.takeResponse()).body).toBe(body);
  });

  test("a peer that does not know the transport is spoken to as ever", async () => {
    const service = closing(
      new FakeUpstream({ script: (_, reply) => reply.respond(200, "plain") }),
    );
    const near = proxyTo(service.port, { meshTransport: true });
    const client = await near.connect();
    closers.push(() => client.terminate());
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).body).toBe("plain");
  });

  test("HTTP/2 stays HTTP/2 to an application that speaks it", async () => {
    const service = closing(
      await Http2Service.start((stream) => {
        stream.respond({ ":status": 200 }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end("from far");
      }),
    );
    const far = proxyTo(service.port);
    const near = proxyTo(far.listenInbound(service.port), { meshTransport: true });
    const client = closing(new Http2Client(near.port));
    const answer = await client.request({ ":method": "POST", te: "trailers" }, "x");
    expect(answer).toMatchObject({ status: 200, body: "from far" });
    expect(answer.trailers?.["grpc-status"]).toBe("0");
  });
});
