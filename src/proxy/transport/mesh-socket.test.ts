/** Connections inside of a connection: what sockets promise holds for them too. */
import { afterEach, describe, expect, test } from "bun:test";
import { EngineFixture } from "../../testing/engine-fixture.ts";
import { type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";

const GET = "GET / HTTP/1.1\r\nHost: svc\r\n\r\n";
const SIZE = 12 * 1024 * 1024;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

/** A service behind its sidecar, and the sidecar of a caller. */
function pair(script: FakeScript) {
  const service = new FakeUpstream({ script });
  const far = new EngineFixture({ endpoints: [service.port] });
  const inbound = far.listenInbound(service.port, "http");
  const near = new EngineFixture({ endpoints: [inbound], meshTransport: true });
  closers.push(
    () => service.close(),
    () => far.close(),
    () => near.close(),
  );
  const connect = async () => {
    const client = await near.connect();
    closers.push(() => client.terminate());
    return client;
  };
  return { service, far, near, connect };
}

/** Bytes held by both, once there are some and no more come. */
async function settled(mesh: readonly EngineFixture[]): Promise<number> {
  let waiting = 0;
  for (let same = 0; same < 20; await Bun.sleep(2)) {
    const now = mesh.reduce((sum, { engine }) => sum + engine.stats().bytesWaiting, 0);
    same = now > 0 && now === waiting ? same + 1 : 0;
    waiting = now;
  }
  return waiting;
}

describe("backpressure", () => {
  test("a client that does not read holds up its own answer, and nobody else's", async () => {
    const { far, near, connect } = pair((request, reply) => {
      if (request.target === "/small") return reply.respond(200, "small");
      reply.send(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`);
      reply.send(new Uint8Array(SIZE).fill(120));
    });
    const [slow, quick] = [await connect(), await connect()];
    slow.pause();
    slow.send(GET);
    expect(await settled([far, near])).toBeLessThan(4 * 1024 * 1024);
    for (let i = 0; i < 20; i++) {
      quick.send("GET /small HTTP/1.1\r\nHost: svc\r\n\r\n");
      expect((await quick.takeResponse()).body).toBe("small");
    }
    slow.resume();
    await slow.until(() => slow.bytesReceived >= SIZE);
  });

  test("a service that does not read stops the client, and gets all in the end", async () => {
    const { far, near, service, connect } = pair((request, reply) =>
      reply.respond(200, String(request.body.length)),
    );
    const client = await connect();
    client.send(`POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: ${SIZE}\r\n\r\n`);
    client.send(new Uint8Array(SIZE));
    await service.until(() => service.received.length > 0);
    const held = [far, near].reduce((sum, { engine }) => sum + engine.stats().bytesWaiting, 0);
    expect(held).toBeLessThan(4 * 1024 * 1024);
    expect((await client.takeResponse()).body).toBe(String(SIZE));
  });
});

describe("ends", () => {
  test("a service that resets in the middle is seen to do so, by one client only", async () => {
    const { connect } = pair((request, reply) => {
      if (request.target === "/") {
        reply.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        reply.reset();
      } else reply.respond(200, "whole");
    });
    const [cut, other] = [await connect(), await connect()];
    cut.send(GET);
    await cut.untilEnd();
    expect(cut.wasReset).toBe(true);
    other.send("GET /other HTTP/1.1\r\nHost: svc\r\n\r\n");
    expect((await other.takeResponse()).body).toBe("whole");
  });

  test("a client that goes takes its request from the service", async () => {
    const { service, far, connect } = pair(() => {});
    const client = await connect();
    client.send(GET);
    await service.until(() => service.requests.length === 1);
    client.terminate();
    await service.until(() => service.openConnections === 0);
    while (far.engine.stats().exchanges > 0) await Bun.sleep(1);
  });

  test("a WebSocket passes, and each half ends by itself", async () => {
    const { service, connect } = pair((_request, reply) =>
      reply.send("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi"),
    );
    const client = await connect();
    client.send(
      "GET / HTTP/1.1\r\nHost: svc\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Key: x\r\n\r\n",
    );
    expect(await client.take("\r\n\r\n")).toStartWith("HTTP/1.1 101 ");
    expect(await client.takeBytes(2)).toBe("hi");
    client.send("\u0081raw");
    await service.until(() => service.received.endsWith("\u0081raw"));
    client.shutdown();
    await client.untilEnd();
    await service.until(() => service.openConnections === 0);
  });

  test("the far sidecar's end is an end of each connection, and the next opens anew", async () => {
    const { service, near, far, connect } = pair((_request, reply) => reply.respond(200, "ok"));
    const client = await connect();
    client.send(GET);
    expect((await client.takeResponse()).body).toBe("ok");
    far.engine.close();
    const again = new EngineFixture({ endpoints: [service.port] });
    closers.push(() => again.close());
    near.publish({ endpoints: [again.listenInbound(service.port, "http")], meshTransport: true });
    client.send(GET);
    expect((await client.takeResponse()).body).toBe("ok");
  });
});
