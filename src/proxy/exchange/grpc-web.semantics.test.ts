/** gRPC-Web from browsers, over either version of HTTP, to services that speak gRPC alone. */
import { describe, expect, test } from "bun:test";
import type { ServerHttp2Stream } from "node:http2";
import { RetryPolicy_Condition } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { seededRandom } from "../../core/random.ts";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { FakeUpstream } from "../../testing/fake-upstream.ts";
import { grpcSetUp } from "../../testing/grpc-set-up.ts";
import { answerOf, contentOf, Http2Client, type Http2Script } from "../../testing/http2-runtime.ts";

const { closing, toService } = grpcSetUp();

const HTTP2 = 3;
const web = "application/grpc-web+proto";
const webText = "application/grpc-web-text+proto";

const echo: Http2Script = async (stream) => {
  const body = await contentOf(stream);
  stream.respond(
    { ":status": 200, "content-type": "application/grpc+proto", "x-meta": "1" },
    { waitForTrailers: true },
  );
  const trailers = { "grpc-status": "0", "grpc-message": "fine" };
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  stream.end(Buffer.from(body, "latin1"));
};

function message(text: string): string {
  const framed = Buffer.alloc(5 + text.length);
  framed.writeUInt32BE(text.length, 1);
  framed.write(text, 5, "latin1");
  return framed.toString("latin1");
}

function base64(text: string): string {
  return Buffer.from(text, "latin1").toString("base64");
}

/** Groups of base64, any of which may be padded. */
function unbase64(text: string): string {
  return (text.match(/.{4}/gs) ?? []).map((four) => atob(four)).join("");
}

function frame(lines: string): string {
  return `\x80\0\0\0${String.fromCharCode(lines.length)}${lines}`;
}

const RESET = 3;
const END_STREAM = 1;

/** The whole frames of streams that a client has sent, past its preface. */
function streamFrames(received: string): { type: number; flags: number }[] {
  const bytes = Buffer.from(received, "latin1");
  const frames: { type: number; flags: number }[] = [];
  for (let at = 24; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3))
    if (bytes.readUInt32BE(at + 5) !== 0)
      frames.push({ type: bytes[at + 3]!, flags: bytes[at + 4]! });
  return frames;
}

const fine = frame("grpc-status: 0\r\ngrpc-message: fine\r\n");
const said = message("hello") + message("") + message("\xff\0\xfe");

describe("HTTP/2", () => {
  const call = { ":method": "POST", ":path": "/shop.Cart/Add" };

  test("in binary", async () => {
    const { client, service } = await toService(echo);
    const type = { "content-type": web, "content-length": said.length };
    const answer = await client.request({ ...call, ...type }, Buffer.from(said, "latin1"));
    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toBe(web);
    expect(answer.headers["x-meta"]).toBe("1");
    expect(answer.body).toBe(said + fine);
    expect(answer.trailers).toBeUndefined();
    const seen = service.seen[0]!;
    expect([seen["content-type"], seen.te]).toEqual(["application/grpc+proto", "trailers"]);
  });

  test("in text", async () => {
    const { client, service } = await toService(echo);
    const text = base64(message("hello")) + base64(message("")) + base64(message("\xff\0\xfe"));
    const type = { "content-type": webText, "content-length": text.length };
    const answer = await client.request({ ...call, ...type }, text);
    expect(answer.headers["content-type"]).toBe(webText);
    expect(unbase64(answer.body)).toBe(said + fine);
    expect(service.seen[0]?.["content-length"]).toBeUndefined();
  });

  test("asked in text, answered as Accept says", async () => {
    const { client } = await toService(echo);
    const type = { "content-type": webText, accept: "application/grpc-web" };
    const answer = await client.request({ ...call, ...type }, base64(said));
    expect(answer.headers["content-type"]).toBe(web);
    expect(answer.body).toBe(said + fine);
  });

  test("a megabyte each way", async () => {
    const { client } = await toService(echo);
    const long = message("0123456789abcdef".repeat(64 * 1024));
    const answer = await client.request({ ...call, "content-type": webText }, base64(long));
    expect(unbase64(answer.body) === long + fine).toBe(true);
  });

  test("each message arrives before the next is sent", async () => {
    const { client } = await toService((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.pipe(stream);
    });
    const stream = client.session.request({
      ":authority": "svc",
      ...call,
      "content-type": webText,
    });
    closing(stream);
    stream.on("error", () => {});
    stream.setEncoding("latin1");
    for (const word of ["a", "bc", "def", "ghij"]) {
      const heard = new Promise<string>((resolve) => stream.once("data", resolve));
      stream.write(base64(message(word)));
      expect(unbase64(await heard)).toBe(message(word));
    }
  });
});

describe("HTTP/1.1", () => {
  async function post(options: Partial<EngineFixtureOptions> = {}, script = echo) {
    const { mesh, service } = await toService(script, options);
    const raw = await mesh.connect();
    closing({ close: () => raw.terminate() });
    return { mesh, service, raw };
  }

  test("content of known length, on a connection that goes on", async () => {
    const { raw } = await post();
    for (const type of [web, webText]) {
      const content = type === web ? said : base64(said);
      raw.send(`POST /a.B/C HTTP/1.1\r\nHost: svc\r\nContent-Type: ${type}\r\n`);
      raw.send(Buffer.from(`Content-Length: ${content.length}\r\n\r\n${content}`, "latin1"));
      const { status, head, body } = await raw.takeResponse();
      expect(status).toBe(200);
      expect(head.toLowerCase()).toContain(`content-type: ${type}\r\n`);
      expect(type === web ? body : unbase64(body)).toBe(said + fine);
    }
  });

  test("chunks, wherever they cut the groups", async () => {
    const { raw } = await post();
    const random = seededRandom(3);
    for (let round = 0; round < 20; round++) {
      raw.send(`POST /a.B/C HTTP/1.1\r\nHost: svc\r\nContent-Type: ${webText}\r\n`);
      raw.send("Transfer-Encoding: chunked\r\n\r\n");
      const text = base64(said);
      for (let at = 0; at < text.length; ) {
        const part = text.slice(at, at + 1 + Math.floor(random() * 5));
        raw.send(`${part.length.toString(16)}\r\n${part}\r\n`);
        at += part.length;
      }
      raw.send("0\r\n\r\n");
      expect(unbase64((await raw.takeResponse()).body)).toBe(said + fine);
    }
  });

  test("an answer of known length and without content is not longer than it says", async () => {
    const { raw } = await post({}, (stream) => {
      stream.respond(
        { ":status": 200, "content-type": "application/grpc", "content-length": "0" },
        { waitForTrailers: true },
      );
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "5" }));
      stream.end();
    });
    raw.send(`POST /a.B/C HTTP/1.1\r\nHost: svc\r\nContent-Type: ${web}\r\n`);
    raw.send("Content-Length: 0\r\n\r\n");
    const { head, body } = await raw.takeResponse();
    expect(head).not.toMatch(/content-length/i);
    expect(body).toBe(frame("grpc-status: 5\r\n"));
  });

  test("trailers only stay in the head", async () => {
    const { raw } = await post({}, (stream) => {
      const type = { "content-type": "application/grpc" };
      stream.respond({ ":status": 200, ...type, "grpc-status": "7" }, { endStream: true });
    });
    raw.send(`POST /a.B/C HTTP/1.1\r\nHost: svc\r\nContent-Type: ${web}\r\n`);
    raw.send("Content-Length: 0\r\n\r\n");
    const { head, body } = await raw.takeResponse();
    expect(head).toMatch(/content-type: application\/grpc-web\r\n/i);
    expect(head).toMatch(/grpc-status: 7\r\n/i);
    expect(head).toMatch(/content-length: 0\r\n/i);
    expect(body).toBe("");
  });
});

describe("a page of another origin", () => {
  const cors = {
    allowOrigins: [{ kind: { case: "exact" as const, value: "https://shop.example" } }],
    allowMethods: ["POST"],
    allowHeaders: ["content-type", "x-grpc-web"],
  };

  test("may ask, and reads the status of an answer without content", async () => {
    const options = { route: { cors } };
    const { client } = await toService((stream) => {
      const type = { "content-type": "application/grpc" };
      stream.respond({ ":status": 200, ...type, "grpc-status": "7" }, { endStream: true });
    }, options);
    const origin = { origin: "https://shop.example", ":path": "/a.B/C" };
    const preflight = await client.request({
      ...origin,
      ":method": "OPTIONS",
      "access-control-request-method": "POST",
    });
    expect(preflight.status).toBe(200);
    expect(preflight.headers["access-control-allow-headers"]).toBe("content-type,x-grpc-web");
    const call = { ...origin, ":method": "POST", "content-type": web };
    const { headers } = await client.request(call);
    expect(headers["access-control-allow-origin"]).toBe("https://shop.example");
    expect(headers["access-control-expose-headers"]).toContain("grpc-status");
  });
});

describe("what goes wrong", () => {
  const call = { ":method": "POST", ":path": "/a.B/C", "content-type": webText };

  test("replies of our own are trailers only", async () => {
    const { client } = await toService(echo, { endpoints: [] });
    const { status, headers, body } = await client.request(call);
    expect([status, body]).toEqual([200, ""]);
    expect(headers["content-type"]).toBe("application/grpc-web-text");
    expect(headers["grpc-status"]).toBe("14");
    const binary = await client.request({ ...call, "content-type": web });
    expect(binary.headers["content-type"]).toBe("application/grpc-web");
  });

  for (const [why, text] of [
    ["no base64", "AAAA!AAA"],
    ["a group cut short", "AAAAAAA"],
  ] as const)
    test(`${why} is refused, and its stream is no whole request`, async () => {
      let reset = Promise.withResolvers<number>();
      const { client, mesh } = await toService((stream) => {
        stream.on("close", () => reset.resolve(stream.rstCode));
        stream.resume();
      });
      for (let i = 0; i < 2; i++) {
        reset = Promise.withResolvers();
        const { headers } = await client.request(call, text);
        expect(headers["grpc-status"]).toBe("13");
        expect(headers["x-mesh-reason"]).toBe("bad-grpc-web-content");
        expect(await reset.promise).toBe(8);
      }
      expect(mesh.engine.stats().exchanges).toBe(0);
    });

  test("the end of a text cut short is never sent, not even before the reset", async () => {
    const service = closing(
      new FakeUpstream({
        script: () => {},
        // An empty SETTINGS makes it a server of HTTP/2.
        onConnection: (reply) => reply.send("\0\0\0\x04\0\0\0\0\0"),
      }),
    );
    const cluster = { protocol: HTTP2 };
    const mesh = closing(new EngineFixture({ endpoints: [service.port], cluster }));
    await closing(new Http2Client(mesh.port)).request(call, "AAAAAAA");
    await service.until(() => streamFrames(service.received).some(({ type }) => type === RESET));
    const ends = streamFrames(service.received).map(({ flags }) => (flags & END_STREAM) !== 0);
    expect(ends).not.toContain(true);
  });

  test("a stream that breaks between messages ends with a frame of trailers", async () => {
    const { client, service } = await toService((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.write(Buffer.from(message("hello"), "latin1"));
    });
    const stream = client.session.request({ ":authority": "svc", ...call });
    stream.once("data", () => service.breakOff());
    const body = unbase64((await answerOf(stream)).body);
    expect(body).toStartWith(`${message("hello")}\x80\0\0\0`);
    expect(body).toContain("grpc-status: 14\r\n");
  });

  test("one that breaks within a message is broken off", async () => {
    const { client, service } = await toService((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.write(Buffer.from(message("hello").slice(0, -1), "latin1"));
    });
    const stream = client.session.request({ ":authority": "svc", ...call });
    stream.once("data", () => service.breakOff());
    expect(answerOf(stream)).rejects.toThrow();
  });

  test("a deadline is kept as for gRPC", async () => {
    const { client, service } = await toService(() => {});
    const { headers } = await client.request({ ...call, "grpc-timeout": "1S" }, base64(said));
    expect(headers["grpc-status"]).toBe("4");
    expect(service.seen.length).toBe(1);
  });

  test("a try that failed is repeated, from the first octet", async () => {
    let tries = 0;
    const retry = { attempts: 1, on: [RetryPolicy_Condition.CONDITION_UNAVAILABLE], backoffMs: 1 };
    const { client } = await toService(
      async (stream: ServerHttp2Stream, headers) => {
        if (++tries > 1) return echo(stream, headers);
        await contentOf(stream);
        const type = { "content-type": "application/grpc" };
        stream.respond({ ":status": 200, ...type, "grpc-status": "14" }, { endStream: true });
      },
      { route: { retry } },
    );
    const { body } = await client.request(call, base64(said));
    expect(unbase64(body)).toBe(said + fine);
  });

  test("a try that failed within a group of the text is repeated too", async () => {
    const again = Promise.withResolvers<void>();
    const retry = { attempts: 1, on: [RetryPolicy_Condition.CONDITION_UNAVAILABLE], backoffMs: 1 };
    let tries = 0;
    const { client } = await toService(
      (stream, headers) => {
        if (++tries > 1) {
          again.resolve();
          return echo(stream, headers);
        }
        const type = { "content-type": "application/grpc" };
        const fail = { ":status": 200, ...type, "grpc-status": "14" };
        stream.once("data", () => stream.respond(fail, { endStream: true }));
      },
      { route: { retry } },
    );
    const text = base64(said);
    const stream = client.session.request({ ":authority": "svc", ...call });
    const answered = answerOf(stream);
    stream.write(text.slice(0, 7));
    await again.promise;
    stream.end(text.slice(7));
    expect(unbase64((await answered).body)).toBe(said + fine);
  });

  test("an answer that is no gRPC passes as it is", async () => {
    const { client } = await toService((stream) => {
      stream.respond({ ":status": 502, "content-type": "text/html" });
      stream.end("<h1>no</h1>");
    });
    const { status, headers, body } = await client.request(call, base64(said));
    expect([status, headers["content-type"], body]).toEqual([502, "text/html", "<h1>no</h1>"]);
  });
});

test("a service that speaks HTTP/1.1 gets gRPC-Web, and answers in it", async () => {
  const service = closing(
    new FakeUpstream({
      script: (request, reply) =>
        reply.respond(200, request.body, { "Content-Type": request.field("content-type")! }),
    }),
  );
  const mesh = closing(new EngineFixture({ endpoints: [service.port] }));
  const client = closing(new Http2Client(mesh.port));
  const call = { ":method": "POST", ":path": "/a.B/C", "content-type": webText };
  const { headers, body } = await client.request(call, base64(said));
  expect([headers["content-type"], body]).toEqual([webText, base64(said)]);
  expect(service.requests[0]?.field("te")).toBeUndefined();
  expect(mesh.scrape()).not.toContain("grpc");
});

test("calls are counted as those of gRPC", async () => {
  const { client, mesh } = await toService(echo);
  const call = { ":method": "POST", ":path": "/shop.Cart/Add", "content-type": webText };
  const { body } = await client.request(call, base64(said));
  const scrape = mesh.scrape();
  expect(scrape).toMatch(new RegExp(`istio_response_bytes_sum\\{[^}]*\\} ${body.length}\n`));
  expect(scrape).toMatch(/istio_requests_total\{[^}]*grpc_response_status="0"[^}]*\} 1/);
  expect(scrape).toMatch(/envoy_cluster_grpc_success\{[^}]*method="Add"[^}]*\} 1/);
});
