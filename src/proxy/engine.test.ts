/** The engine between a real client and a real service, message by message. */
import { describe, expect, test } from "bun:test";
import { engineSetUp } from "../testing/engine-set-up.ts";

const setUp = engineSetUp();

describe("requests and responses", () => {
  test("a request goes through with its letters, and the answer comes back", async () => {
    const { client, service } = await setUp();
    client.send("GET /a?b=1 HTTP/1.1\r\nHost: svc\r\nX-CaSe: Kept\r\n\r\n");
    const answer = await client.takeResponse();
    expect(answer.status).toBe(200);
    expect(answer.body).toBe("ok");
    expect(service.received).toBe("GET /a?b=1 HTTP/1.1\r\nHost: svc\r\nX-CaSe: Kept\r\n\r\n");
  });

  test("connections live on at both sides, and are used again", async () => {
    const { client, service } = await setUp();
    for (let i = 0; i < 5; i++) {
      client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
      expect((await client.takeResponse()).status).toBe(200);
    }
    expect(service.connections).toBe(1);
    expect(client.ended).toBe(false);
  });

  test("a head that comes byte by byte is a head", async () => {
    const { client, service } = await setUp();
    const head = "POST /x HTTP/1.1\r\nHost: svc\r\nContent-Length: 3\r\n\r\nabc";
    for (const byte of head) {
      client.send(byte);
      await client.sent();
      await Bun.sleep(0);
    }
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.requests[0]?.body).toBe("abc");
  });

  test("pipelined requests are answered in order, on one connection", async () => {
    const { client, service } = await setUp((request, reply) => reply.respond(200, request.target));
    let requests = "";
    for (let i = 0; i < 50; i++) requests += `GET /${i} HTTP/1.1\r\nHost: svc\r\n\r\n`;
    client.send(requests);
    for (let i = 0; i < 50; i++) expect((await client.takeResponse()).body).toBe(`/${i}`);
    expect(service.connections).toBe(1);
  });

  test("pipelined bodies are taken apart where they end", async () => {
    const { client, service } = await setUp((request, reply) => reply.respond(200, request.body));
    client.send(
      "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 3\r\n\r\none" +
        "POST / HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n" +
        "GET /last HTTP/1.1\r\nHost: svc\r\n\r\n",
    );
    expect((await client.takeResponse()).body).toBe("one");
    expect((await client.takeResponse()).body).toBe("two");
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.requests.map(({ target }) => target)).toEqual(["/", "/", "/last"]);
  });

  test("a chunked body and its trailers go through, extensions do not", async () => {
    const { client, service } = await setUp((_request, reply) =>
      reply.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX-End: 1\r\n\r\n",
      ),
    );
    client.send(
      "POST / HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\n" +
        "3;a=b\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n",
    );
    const received = await client.take("X-End: 1\r\n\r\n");
    expect(received).toEndWith("\r\n\r\n2\r\nok\r\n0\r\nX-End: 1\r\n\r\n");
    expect(service.received).toEndWith("\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n");
  });

  test("a response that ends with its connection is chunked for HTTP/1.1", async () => {
    const { client } = await setUp((_request, reply) => {
      reply.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
      reply.end();
    });
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    const answer = await client.takeResponse();
    expect(answer.head).toContain("transfer-encoding: chunked");
    expect(answer.body).toBe("until the end");
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).body).toBe("until the end");
  });

  test("an HTTP/1.0 client gets no chunks, and the end of its connection", async () => {
    const { client } = await setUp((_request, reply) =>
      reply.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    );
    client.send("GET / HTTP/1.0\r\nHost: svc\r\n\r\n");
    const received = await client.untilEnd();
    expect(received).not.toContain("chunked");
    expect(received).toEndWith("\r\n\r\nok");
  });

  test("answers to HEAD, 204 and 304 have no body, whatever they announce", async () => {
    const { client } = await setUp((request, reply) => {
      if (request.method === "HEAD") reply.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
      else if (request.target === "/204") reply.send("HTTP/1.1 204 No Content\r\n\r\n");
      else reply.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n");
    });
    client.send("HEAD / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse(true)).head).toContain("Content-Length: 99");
    client.send("GET /204 HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(204);
    client.send("GET /304 HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(304);
  });

  test("100 Continue comes from the service, and then the body is sent", async () => {
    const { client, service } = await setUp();
    const seen: string[] = [];
    service.script = (request, reply) => {
      seen.push(request.body);
      reply.respond(200, "done");
    };
    client.send(
      "POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
    );
    await service.until(() => service.received.includes("100-continue\r\n\r\n"));
    expect(client.received).toBe("");
    client.send("body");
    expect((await client.takeResponse()).body).toBe("done");
    expect(seen).toEqual(["body"]);
  });

  test("large interim responses that come at once are passed on whole", async () => {
    const hints = `HTTP/1.1 103 Early Hints\r\nLink: ${"a".repeat(50_000)}\r\n\r\n`;
    const { client } = await setUp((request, reply) => {
      // The receive window of the connection grows with what it has carried.
      if (request.target === "/large") return reply.respond(200, "b".repeat(4_000_000));
      reply.send(hints.repeat(4));
      reply.respond(200, "at last");
    });
    client.send("GET /large HTTP/1.1\r\nHost: svc\r\n\r\n");
    await client.takeResponse();
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    for (let i = 0; i < 4; i++) expect(await client.take("\r\n\r\n")).toBe(hints);
    expect(await client.takeResponse()).toMatchObject({ status: 200, body: "at last" });
  });

  test("interim responses are passed on before the final one", async () => {
    const { client } = await setUp((_request, reply) => {
      reply.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
      reply.send("HTTP/1.1 100 Continue\r\n\r\n");
      reply.respond(200, "ok");
    });
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).head).toContain("Link: </a.css>");
    expect((await client.takeResponse()).status).toBe(100);
    expect((await client.takeResponse()).status).toBe(200);
  });

  test("a certificate that nobody has checked is not passed on as if one had", async () => {
    const { client, service } = await setUp();
    const lines = "X-Forwarded-Client-Cert: URI=spiffe://a/ns/b/sa/admin\r\nX-Other: 1\r\n";
    client.send(`GET / HTTP/1.1\r\nHost: svc\r\n${lines}${lines.toLowerCase()}\r\n`);
    await client.takeResponse();
    expect(service.received).toBe(
      "GET / HTTP/1.1\r\nHost: svc\r\nX-Other: 1\r\nx-other: 1\r\n\r\n",
    );
  });

  test("hop-by-hop fields stay at their hop", async () => {
    const { client, service } = await setUp((_request, reply) =>
      reply.respond(200, "ok", { Connection: "X-Mine", "X-Mine": "1", "Keep-Alive": "5" }),
    );
    client.send(
      "GET / HTTP/1.1\r\nHost: svc\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: x\r\n\r\n",
    );
    const answer = await client.takeResponse();
    expect(answer.head).not.toMatch(/x-mine|keep-alive|connection/i);
    expect(service.requests[0]?.head).not.toMatch(/x-hop|connection|te:/i);
  });

  test("a client that asks for close gets close", async () => {
    const { client } = await setUp();
    client.send("GET / HTTP/1.1\r\nHost: svc\r\nConnection: close\r\n\r\n");
    expect(await client.untilEnd()).toContain("connection: close\r\n");
  });

  test("bytes after a response spoil the connection that they came on", async () => {
    const { client, service } = await setUp((_request, reply) =>
      reply.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"),
    );
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).body).toBe("ok");
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).body).toBe("ok");
    expect(service.connections).toBe(2);
  });
});

describe("when somebody goes away", () => {
  test("a response cut short is cut short for the client too", async () => {
    const { client } = await setUp((_request, reply) => {
      reply.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
      reply.end();
    });
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    await client.until(() => client.ended);
    expect(client.received.length).toBeLessThan(60);
  });

  test("a client that leaves ends the request at the service", async () => {
    const { client, service } = await setUp(() => {});
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    await service.until(() => service.requests.length === 1);
    client.close();
    await service.until(() => service.openConnections === 0);
  });

  test("a pooled connection that the service has closed costs no request", async () => {
    const { client, service } = await setUp();
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    await client.takeResponse();
    service.script = (request, reply) => {
      if (request.connection === 1) reply.reset();
      else reply.respond(200, "again");
    };
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).body).toBe("again");
  });

  test("a POST that a pooled connection lost is not sent twice", async () => {
    const { client, service } = await setUp();
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    await client.takeResponse();
    service.script = (_request, reply) => reply.reset();
    client.send("POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 1\r\n\r\nx");
    const answer = await client.takeResponse();
    expect(answer.status).toBe(503);
    expect(answer.head).toContain("x-mesh-reason: upstream-reset");
    expect(service.requests.filter(({ method }) => method === "POST").length).toBe(1);
  });

  test("an idle connection that the service closes is forgotten", async () => {
    const { client, service, mesh } = await setUp();
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    await client.takeResponse();
    expect(mesh.engine.stats().upstreamIdle).toBe(1);
    service.resetConnections();
    await client.until(() => true);
    while (mesh.engine.stats().upstreamConnections > 0) await Bun.sleep(1);
    expect(mesh.engine.stats().upstreamIdle).toBe(0);
  });

  test("nobody listens: 503 with the reason", async () => {
    const { client, service } = await setUp();
    service.close();
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    const answer = await client.takeResponse();
    expect(answer.status).toBe(503);
    expect(answer.head).toContain("x-mesh-reason: upstream-connect-failure");
  });
});

describe("refusals", () => {
  test("an unknown host is 404, and the connection lives on", async () => {
    const { client } = await setUp();
    client.send("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n");
    const answer = await client.takeResponse();
    expect(answer.status).toBe(404);
    expect(answer.head).toContain("x-mesh-reason: no-route");
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(200);
  });

  test("a malformed head gets its answer, then the end", async () => {
    const { client, service } = await setUp();
    client.send("GET / HTTP/1.1\r\nHost: svc\r\nContent-Length: +5\r\n\r\n");
    const answer = await client.untilEnd();
    expect(answer).toStartWith("HTTP/1.1 400 ");
    expect(answer).toContain("x-mesh-reason: bad-content-length");
    expect(service.requests.length).toBe(0);
  });

  test("a malformed chunk never completes the request at the service", async () => {
    const { client, service } = await setUp();
    client.send("POST / HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("3\r\nabc\r\nxyz\r\n");
    expect(await client.untilEnd()).toStartWith("HTTP/1.1 400 ");
    expect(service.requests.length).toBe(0);
  });

  test("a slow head is answered 408", async () => {
    const { client } = await setUp(undefined, { limits: { headTimeoutMs: 50 } });
    client.send("GET / HT");
    expect(await client.untilEnd()).toStartWith("HTTP/1.1 408 ");
  });
});
