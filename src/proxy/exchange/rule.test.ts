/** What rules make of requests, seen from the client and from the service. */
import { describe, expect, test } from "bun:test";
import { engineSetUp } from "../../testing/engine-set-up.ts";

const setUp = engineSetUp();
const GET = "GET /old/page?q=1 HTTP/1.1\r\nHost: svc\r\n\r\n";

describe("redirect, rewrite, direct answers", () => {
  test("a redirect keeps the query and names the new place", async () => {
    const { client, service } = await setUp(undefined, {
      route: {
        action: { case: "redirect", value: { code: 302, uri: "/new", authority: "other.example" } },
      },
    });
    client.send(GET);
    const answer = await client.takeResponse();
    expect(answer.status).toBe(302);
    expect(answer.head).toContain("location: http://other.example/new?q=1\r\n");
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(302);
    expect(service.requests.length).toBe(0);
  });

  test("a direct answer has the rule's status and body; HEAD gets no body", async () => {
    const { client } = await setUp(undefined, {
      route: { action: { case: "direct", value: { status: 418, body: "short" } } },
    });
    client.send(GET);
    expect(await client.takeResponse()).toMatchObject({ status: 418, body: "short" });
    client.send("HEAD / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse(true)).head).toContain("content-length: 5\r\n");
    client.send(GET);
    expect((await client.takeResponse()).body).toBe("short");
  });

  test("a rewrite replaces the matched prefix and the Host", async () => {
    const { client, service } = await setUp(undefined, {
      route: {
        match: { path: { kind: { case: "prefix", value: "/old" } } },
        rewrite: { uri: "/new", authority: "inner" },
      },
    });
    client.send(GET);
    await client.takeResponse();
    expect(service.requests[0]?.target).toBe("/new/page?q=1");
    expect(service.requests[0]?.field("host")).toBe("inner");
  });

  test("a Host given to a request that has none is not taken for the next one's", async () => {
    const { client, service, connect } = await setUp(undefined, {
      route: { rewrite: { authority: "inner" } },
    });
    client.send("GET http://svc/ HTTP/1.0\r\nAccept: svc\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.requests[0]?.field("host")).toBe("inner");
    const next = await connect();
    next.send(GET);
    expect((await next.takeResponse()).status).toBe(200);
    const hostless = await connect();
    hostless.send("GET http://svc/ HTTP/1.0\r\nAccept: svc\r\n\r\n");
    expect((await hostless.takeResponse()).status).toBe(200);
    const bad = await connect();
    bad.send("GET / HTTP/1.1\r\nAccept: svc\r\n\r\n");
    expect((await bad.takeResponse()).status).toBe(400);
  });

  test("appended fields reach the service", async () => {
    const { client, service } = await setUp(undefined, {
      route: { appendRequestHeaders: [{ name: "x-rule", value: "yes" }] },
    });
    client.send(GET);
    await client.takeResponse();
    expect(service.requests[0]?.field("x-rule")).toBe("yes");
  });
});

describe("faults", () => {
  test("an abort answers with its status, the reason and the rule", async () => {
    const { client, service } = await setUp(undefined, {
      route: { fault: { abortPercent: 100, abortStatus: 555 } },
    });
    client.send("POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 2\r\n\r\nhi");
    const answer = await client.takeResponse();
    expect(answer.status).toBe(555);
    expect(answer.head).toContain("x-mesh-reason: fault-abort; the-rule\r\n");
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(555);
    expect(service.requests.length).toBe(0);
  });

  test("a delay comes before the request, and the request is whole", async () => {
    const { client, service } = await setUp(undefined, {
      route: { fault: { delayPercent: 100, delayMs: 60 } },
    });
    const start = performance.now();
    client.send("POST /p HTTP/1.1\r\nHost: svc\r\nContent-Length: 4\r\n\r\nbo");
    client.send("dy");
    expect((await client.takeResponse()).status).toBe(200);
    expect(performance.now() - start).toBeGreaterThanOrEqual(59);
    expect(service.requests[0]?.body).toBe("body");
  });

  test("a percentage takes its share of the requests", async () => {
    const { client } = await setUp(undefined, {
      route: { fault: { abortPercent: 25, abortStatus: 500 } },
    });
    let aborted = 0;
    for (let i = 0; i < 400; i++) {
      client.send(GET);
      if ((await client.takeResponse()).status === 500) aborted++;
    }
    expect(aborted).toBeGreaterThan(60);
    expect(aborted).toBeLessThan(140);
  });
});

describe("timeouts and retries", () => {
  test("a service that does not answer in time is 504", async () => {
    const { client, service } = await setUp(() => {}, { route: { timeoutMs: 40 } });
    client.send(GET);
    const answer = await client.takeResponse();
    expect(answer.status).toBe(504);
    expect(answer.head).toContain("x-mesh-reason: upstream-timeout\r\n");
    await service.until(() => service.openConnections === 0);
  });

  test("a caller may set its own timeout, and the service does not see it", async () => {
    const { client, service } = await setUp(() => {}, { route: { timeoutMs: 60_000 } });
    client.send("GET / HTTP/1.1\r\nHost: svc\r\nX-Envoy-Upstream-Rq-Timeout-Ms: 30\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(504);
    expect(service.requests[0]?.head).not.toContain("Timeout");
  });

  test("a response that has begun ends where its time ends", async () => {
    const { client } = await setUp(
      (_request, reply) => reply.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
      { route: { timeoutMs: 40 } },
    );
    client.send(GET);
    expect(await client.untilEnd()).toEndWith("\r\n\r\nhalf");
  });

  const retry = { attempts: 2, on: [1], backoffMs: 1 };

  test("5xx is tried again, as often as the rule says", async () => {
    const { client, service } = await setUp(
      (_request, reply) => reply.respond(service.requests.length < 3 ? 503 : 200, "x"),
      { route: { retry } },
    );
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.requests.length).toBe(3);
    service.script = (_request, reply) => reply.respond(500, "gives up");
    client.send(GET);
    expect(await client.takeResponse()).toMatchObject({ status: 500, body: "gives up" });
    expect(service.requests.length).toBe(6);
  });

  test("a body is sent again with the retry, chunked or not", async () => {
    const { client, service } = await setUp(
      (request, reply) => {
        if (service.requests.length % 2 === 1) reply.reset();
        else reply.respond(200, request.body);
      },
      { route: { retry } },
    );
    client.send("POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 3\r\n\r\none");
    expect((await client.takeResponse()).body).toBe("one");
    client.send("POST / HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n");
    client.send("0\r\n\r\n");
    expect((await client.takeResponse()).body).toBe("two");
  });

  test("a retry goes to another endpoint", async () => {
    const { service, mesh, connect, serve } = await setUp((_request, reply) => reply.respond(503));
    const healthy = serve();
    mesh.publish({ endpoints: [service.port, healthy.port], route: { retry } });
    const client = await connect();
    for (let i = 0; i < 4; i++) {
      client.send(GET);
      expect((await client.takeResponse()).status).toBe(200);
    }
  });

  test("a caller may set its number of retries", async () => {
    const { client, service } = await setUp((_request, reply) => reply.respond(500), {
      route: { retry },
    });
    client.send("GET / HTTP/1.1\r\nHost: svc\r\nX-Envoy-Max-Retries: 0\r\n\r\n");
    await client.takeResponse();
    expect(service.requests.length).toBe(1);
  });

  test("a try has its own limit, the next try may answer", async () => {
    const { client, service } = await setUp(
      (_request, reply) => {
        if (service.requests.length > 1) reply.respond(200, "second");
      },
      { route: { timeoutMs: 5_000, retry: { ...retry, perTryTimeoutMs: 40 } } },
    );
    client.send(GET);
    expect((await client.takeResponse()).body).toBe("second");
  });
});

describe("mirror and CORS", () => {
  test("a copy goes to the mirror with its body and -shadow in Host", async () => {
    const { mesh, service, connect, serve } = await setUp();
    const mirror = serve((_request, reply) => reply.respond(500, "nobody reads this"));
    mesh.publish({
      others: { shadow: mirror.port },
      route: { mirror: { cluster: "shadow", percent: 100 } },
    });
    const client = await connect();
    client.send("POST /p HTTP/1.1\r\nHost: svc:80\r\nContent-Length: 4\r\n\r\nbo");
    client.send("dy");
    expect((await client.takeResponse()).body).toBe("ok");
    await mirror.until(() => mirror.requests.length === 1);
    expect(mirror.requests[0]).toMatchObject({ target: "/p", body: "body" });
    expect(mirror.requests[0]?.field("host")).toBe("svc-shadow:80");
    expect(mirror.requests[0]?.field("connection")).toBe("close");
    expect(service.requests[0]?.field("host")).toBe("svc:80");
  });

  test("a mirror that is not there is not missed", async () => {
    const { mesh, connect, serve } = await setUp();
    const mirror = serve();
    mirror.close();
    mesh.publish({
      others: { shadow: mirror.port },
      route: { mirror: { cluster: "shadow", percent: 100 } },
    });
    const client = await connect();
    client.send(GET);
    expect((await client.takeResponse()).status).toBe(200);
  });

  const cors = {
    allowOrigins: [{ kind: { case: "exact" as const, value: "http://a.example" } }],
    allowMethods: ["GET", "POST"],
    maxAgeSeconds: 60,
  };

  test("a preflight is answered here, other answers are decorated", async () => {
    const { client, service } = await setUp(undefined, { route: { cors } });
    client.send(
      "OPTIONS / HTTP/1.1\r\nHost: svc\r\nOrigin: http://a.example\r\n" +
        "Access-Control-Request-Method: POST\r\n\r\n",
    );
    const preflight = await client.takeResponse();
    expect(preflight.status).toBe(200);
    expect(preflight.head).toContain("access-control-allow-origin: http://a.example\r\n");
    expect(preflight.head).toContain("access-control-allow-methods: GET,POST\r\n");
    expect(service.requests.length).toBe(0);
    client.send("GET / HTTP/1.1\r\nHost: svc\r\nOrigin: http://a.example\r\n\r\n");
    const answer = await client.takeResponse();
    expect(answer.head).toContain("access-control-allow-origin: http://a.example\r\n");
    client.send("GET / HTTP/1.1\r\nHost: svc\r\nOrigin: http://b.example\r\n\r\n");
    expect((await client.takeResponse()).head).not.toContain("access-control");
  });
});

describe("Max-Forwards", () => {
  test("counts down, and at none left the proxy answers", async () => {
    const { client, service } = await setUp();
    client.send("OPTIONS / HTTP/1.1\r\nHost: svc\r\nMax-Forwards: 3\r\n\r\n");
    expect((await client.takeResponse()).body).toBe("ok");
    expect(service.requests[0]?.field("max-forwards")).toBe("2");
    client.send("OPTIONS / HTTP/1.1\r\nHost: svc\r\nMax-Forwards: 0\r\n\r\n");
    expect((await client.takeResponse()).body).toBe("");
    client.send("TRACE / HTTP/1.1\r\nHost: svc\r\nMax-Forwards: 0\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(405);
    expect(service.requests.length).toBe(1);
  });
});
