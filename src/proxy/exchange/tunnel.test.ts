/** Upgrades, CONNECT and the forward proxy. */
import { describe, expect, test } from "bun:test";
import { engineSetUp } from "../../testing/engine-set-up.ts";

const setUp = engineSetUp();
const UPGRADE =
  "GET /chat HTTP/1.1\r\nHost: svc\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Key: x\r\n\r\n";
const SWITCH =
  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

describe("WebSocket", () => {
  test("both directions are open after 101, and close one after the other", async () => {
    const { client, service } = await setUp((_request, reply) => reply.send(`${SWITCH}hello`));
    client.send(UPGRADE);
    const head = await client.take("\r\n\r\n");
    expect(head).toStartWith("HTTP/1.1 101 ");
    expect(head.match(/connection: upgrade/gi)?.length).toBe(1);
    expect(head.match(/upgrade: websocket/gi)?.length).toBe(1);
    expect(await client.takeBytes(5)).toBe("hello");
    expect(service.requests[0]?.head).toMatch(/upgrade: websocket/i);
    client.send("\u0081raw\u0000bytes");
    await service.until(() => service.received.endsWith("\u0081raw\u0000bytes"));
    client.shutdown();
    await client.untilEnd();
    await service.until(() => service.openConnections === 0);
  });

  test("a service that does not switch answers as ever", async () => {
    const { client } = await setUp((_request, reply) => reply.respond(200, "plain"));
    client.send(UPGRADE);
    expect((await client.takeResponse()).body).toBe("plain");
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).body).toBe("plain");
  });

  test("a 101 that nobody asked for is a bad response", async () => {
    const { client } = await setUp((_request, reply) => reply.send(SWITCH));
    client.send("GET / HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await client.takeResponse()).status).toBe(502);
  });

  test("a rule may refuse it", async () => {
    const { client, service } = await setUp(undefined, { route: { websocket: false } });
    client.send(UPGRADE);
    const answer = await client.takeResponse();
    expect(answer.status).toBe(403);
    expect(answer.head).toContain("x-mesh-reason: upgrade-not-allowed\r\n");
    expect(service.requests.length).toBe(0);
  });

  test("h2c is not passed on", async () => {
    const { client, service } = await setUp();
    client.send(
      "GET / HTTP/1.1\r\nHost: svc\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" +
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
    );
    expect((await client.takeResponse()).status).toBe(200);
    expect(service.requests[0]?.head).not.toMatch(/upgrade|h2c|http2-settings/i);
  });
});

describe("forward proxy", () => {
  test("CONNECT to a service is a tunnel to one of its endpoints", async () => {
    const { client, service } = await setUp();
    client.send(
      "CONNECT svc:80 HTTP/1.1\r\nHost: svc:80\r\n\r\nGET /in HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    expect(await client.take("\r\n\r\n")).toStartWith("HTTP/1.1 200 ");
    expect((await client.takeResponse()).body).toBe("ok");
    expect(service.requests[0]?.target).toBe("/in");
  });

  test("and through one to a service of HTTP/2 goes what the client sends, as it is", async () => {
    const HTTP2 = 3;
    const { client } = await setUp(undefined, { cluster: { protocol: HTTP2 } });
    client.send("CONNECT svc:80 HTTP/1.1\r\nHost: svc:80\r\n\r\n");
    expect(await client.take("\r\n\r\n")).toStartWith("HTTP/1.1 200 ");
    client.send("GET /in HTTP/1.1\r\nHost: x\r\n\r\n");
    expect((await client.takeResponse()).body).toBe("ok");
  });

  test("CONNECT that fails discards what the client sent early", async () => {
    const { client, service } = await setUp();
    service.close();
    client.send(
      "CONNECT svc:80 HTTP/1.1\r\nHost: svc:80\r\n\r\nGET / HTTP/1.1\r\nHost: svc\r\n\r\n",
    );
    const received = await client.untilEnd();
    expect(received).toStartWith("HTTP/1.1 503 ");
    expect(received.match(/HTTP\/1\.1/g)?.length).toBe(1);
  });

  test("an absolute target names the service, and becomes a path", async () => {
    const { client, service } = await setUp();
    client.send("GET http://svc/a?b HTTP/1.1\r\nHost: svc\r\n\r\n");
    await client.takeResponse();
    expect(service.received).toBe("GET /a?b HTTP/1.1\r\nHost: svc\r\n\r\n");
  });

  test("unknown hosts are reached where the mesh allows it", async () => {
    const { client, service, serve } = await setUp(undefined, { allowAny: true });
    const outside = serve((_request, reply) => reply.respond(200, "outside"));
    const authority = `127.0.0.1:${outside.port}`;
    client.send(`GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    expect((await client.takeResponse()).body).toBe("outside");
    // A path alone is for a service of the mesh, whatever its Host would resolve to.
    client.send(`GET / HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    expect((await client.takeResponse()).status).toBe(404);
    client.send(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    expect(await client.take("\r\n\r\n")).toStartWith("HTTP/1.1 200 ");
    expect(service.requests.length).toBe(0);
  });

  test("and not where it does not", async () => {
    const { client, serve } = await setUp();
    const authority = `127.0.0.1:${serve().port}`;
    client.send(`GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    expect((await client.takeResponse()).status).toBe(404);
  });

  test("a request for the proxy itself is a loop", async () => {
    const { client, mesh } = await setUp(undefined, { allowAny: true });
    const authority = `127.0.0.1:${mesh.port}`;
    client.send(`GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    const answer = await client.takeResponse();
    expect(answer.status).toBe(508);
    expect(answer.head).toContain("x-mesh-reason: forwarding-loop\r\n");
  });
});

describe("inbound", () => {
  test("everything goes to the application, whatever its Host", async () => {
    const { mesh, service } = await setUp();
    const { port } = mesh.engine.listenInbound({
      hostname: "127.0.0.1",
      port: 0,
      app: { hostname: "127.0.0.1", port: service.port },
      service: "app",
      version: "v1",
    });
    const answer = await fetch(`http://127.0.0.1:${port}/x`, { headers: { host: "any.thing" } });
    expect(await answer.text()).toBe("ok");
    expect(service.requests[0]?.field("host")).toBe("any.thing");
  });

  test("an application that is not there is 503 with the reason", async () => {
    const { mesh, service } = await setUp();
    service.close();
    const { port } = mesh.engine.listenInbound({
      hostname: "127.0.0.1",
      port: 0,
      app: { hostname: "127.0.0.1", port: service.port },
      service: "app",
      version: "v1",
    });
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    expect(answer.status).toBe(503);
    expect(answer.headers.get("x-mesh-reason")).toBe("upstream-connect-failure");
  });
});
