/** Connections of clients: time, backpressure, drain, hostile bytes. */
import { describe, expect, test } from "bun:test";
import { Failures } from "../../core/failure.ts";
import { seededRandom } from "../../core/random.ts";
import { engineSetUp } from "../../testing/engine-set-up.ts";

const setUp = engineSetUp();
const GET = "GET / HTTP/1.1\r\nHost: svc\r\n\r\n";

describe("time", () => {
  test("a connection that asks nothing ends", async () => {
    const { client } = await setUp(undefined, { limits: { keepAliveIdleMs: 40 } });
    client.send(GET);
    await client.takeResponse();
    expect(await client.untilEnd()).toBe("");
  });

  test("a connection that never asked anything ends with the head's limit", async () => {
    const { client } = await setUp(undefined, { limits: { headTimeoutMs: 40 } });
    expect(await client.untilEnd()).toBe("");
  });

  test("a body that stops moving is 408", async () => {
    const { client } = await setUp(undefined, { limits: { stallTimeoutMs: 40 } });
    client.send("POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 9\r\n\r\nhalf");
    const answer = await client.untilEnd();
    expect(answer).toStartWith("HTTP/1.1 408 ");
    expect(answer).toContain(`x-mesh-reason: ${Failures.bodyTimeout.reason}\r\n`);
  });
});

describe("who speaks something else", () => {
  test("a first line of another protocol is no HTTP to answer: the connection ends", async () => {
    for (const line of ["INVALID CONNECTION PREFACE\r\n\r\n", "EHLO me example\r\n"]) {
      const { client, service } = await setUp();
      client.send(line);
      expect(await client.untilEnd()).toBe("");
      expect(service.requests.length).toBe(0);
    }
  });

  test("a request line with a mistake is answered, and so is another line later on", async () => {
    const { client } = await setUp();
    client.send("GET / HTTQ/1.1\r\nHost: svc\r\n\r\n");
    expect(await client.untilEnd()).toStartWith("HTTP/1.1 400 ");
    const { client: second } = await setUp();
    second.send(GET);
    await second.takeResponse();
    second.send("INVALID CONNECTION PREFACE\r\n\r\n");
    expect(await second.untilEnd()).toStartWith("HTTP/1.1 400 ");
  });
});

describe("early answers", () => {
  test("an answer before the end of the request reaches who still sends", async () => {
    const { client, service } = await setUp();
    service.script = () => {};
    const { client: talker } = await setUp(undefined, () => ({ endpoints: [service.port] }));
    client.terminate();
    talker.send("POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 100000\r\n\r\nbegin");
    await service.until(() => service.received.includes("begin"));
    service.resetConnections();
    for (let i = 0; i < 20; i++) talker.send("x".repeat(1_000));
    const answer = await talker.untilEnd();
    expect(answer).toStartWith("HTTP/1.1 503 ");
    expect(answer).toContain("connection: close\r\n");
    expect(talker.wasReset).toBe(false);
  });
});

describe("backpressure", () => {
  const SIZE = 24 * 1024 * 1024;

  test("a client that does not read stops the service, and gets all in the end", async () => {
    const chunk = new Uint8Array(1024 * 1024).fill(120);
    const { client, mesh } = await setUp((_request, reply) => {
      reply.send(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`);
      for (let sent = 0; sent < SIZE; sent += chunk.length) reply.send(chunk);
    });
    client.pause();
    client.send(GET);
    // Backpressure holds once bytes wait and no more come.
    let waiting = 0;
    for (let same = 0; same < 10; await Bun.sleep(2)) {
      const now = mesh.engine.stats().bytesWaiting;
      same = now > 0 && now === waiting ? same + 1 : 0;
      waiting = now;
    }
    expect(waiting).toBeLessThan(3 * 1024 * 1024);
    client.resume();
    await client.until(() => client.bytesReceived >= SIZE);
  });

  test("a service that does not read stops the client, and gets all in the end", async () => {
    const { client, service, mesh } = await setUp((request, reply) =>
      reply.respond(200, String(request.body.length)),
    );
    client.send(`POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: ${SIZE}\r\n\r\n`);
    client.send(new Uint8Array(SIZE));
    await service.until(() => service.received.length > 0);
    expect(mesh.engine.stats().bytesWaiting).toBeLessThan(3 * 1024 * 1024);
    expect((await client.takeResponse()).body).toBe(String(SIZE));
  });

  test("pipelined requests of a client that does not read wait", async () => {
    const { client, service } = await setUp((_request, reply) =>
      reply.respond(200, "x".repeat(100_000)),
    );
    client.pause();
    client.send(GET.repeat(1_000));
    await Bun.sleep(100);
    expect(service.requests.length).toBeLessThan(200);
    client.resume();
    await client.until(() => client.bytesReceived > 100_000 * 1_000);
  });
});

describe("drain", () => {
  test("a request on an idle connection is answered, with close", async () => {
    const { client, mesh } = await setUp();
    client.send(GET);
    await client.takeResponse();
    const drained = mesh.engine.drain(5_000);
    client.send(GET);
    const answer = await client.takeResponse();
    expect(answer.status).toBe(200);
    expect(answer.head).toContain("connection: close\r\n");
    client.close();
    await drained;
  });

  test("a request under way is finished, an idle connection ends at the end of grace", async () => {
    let answer: (() => void) | undefined;
    const { client, mesh, service, connect } = await setUp(
      (_request, reply) => {
        answer = () => reply.respond(200, "late");
      },
      { limits: { drainGraceMs: 30 } },
    );
    const idle = await connect();
    client.send(GET);
    await service.until(() => answer !== undefined);
    const drained = mesh.engine.drain(5_000);
    await idle.untilEnd();
    answer?.();
    expect((await client.takeResponse()).body).toBe("late");
    client.close();
    idle.close();
    await drained;
    expect(mesh.engine.stats().downstreamConnections).toBe(0);
  });

  test("a connection that was promised to live on gets its next answer", async () => {
    let finish: (() => void) | undefined;
    const { client, mesh, service } = await setUp((_request, reply) => {
      if (finish !== undefined) return reply.respond(200, "next");
      reply.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
      finish = () => reply.send("done");
    });
    client.send(GET);
    await client.take("half");
    const drained = mesh.engine.drain(5_000);
    finish?.();
    await client.take("done");
    client.send(GET);
    expect(await client.takeResponse()).toMatchObject({ body: "next" });
    client.close();
    await drained;
    expect(service.requests.length).toBe(2);
  });

  test("the deadline ends the wait", async () => {
    const { client, mesh, service } = await setUp(() => {});
    client.send(GET);
    await service.until(() => service.requests.length === 1);
    await mesh.engine.drain(30);
    expect(mesh.engine.stats().downstreamConnections).toBe(1);
  });
});

test("whatever bytes come from either side, the engine serves the next client", async () => {
  const seed = 20_261_122;
  const random = seededRandom(seed);
  const pieces = [
    "GET / HTTP/1.1\r\n",
    "Host: svc\r\n",
    "\r\n",
    "\n",
    "\r",
    "\0",
    "POST / HTTP/1.1\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "Connection: close\r\n",
    ": \r\n",
    "Upgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "CONNECT svc:80 HTTP/1.1\r\n",
    "hello",
    "ffffffffffffffff\r\n",
    "\u00ff\u00fe",
    "x".repeat(3_000),
    "Connection: upgrade\r\n",
    "GET http://svc/ HTTP/1.0\r\n",
    "HEAD / HTTP/1.1\r\n",
    "HTTP/1.0 204 \r\n",
    "-1\r\n",
  ];
  const hostile = (): string => {
    let bytes = "";
    const count = 1 + Math.floor(random() * 8);
    for (let i = 0; i < count; i++) bytes += pieces[Math.floor(random() * pieces.length)];
    return bytes;
  };
  const { client, mesh, service, connect } = await setUp(
    (_request, reply) => {
      if (random() < 0.5) reply.respond(200, "ok");
      else reply.send(hostile());
      const end = random();
      if (end < 0.3) reply.reset();
      else if (end < 0.5) reply.end();
    },
    { limits: { stallTimeoutMs: 200 } },
  );
  for (let i = 0; i < 150; i++) {
    const attacker = await connect();
    attacker.send(hostile());
    if (random() < 0.5) attacker.send(GET + hostile());
    if (random() < 0.2) attacker.shutdown();
    await Bun.sleep(random() < 0.1 ? 5 : 0);
    attacker.terminate();
  }
  service.script = (_request, reply) => reply.respond(200, `seed ${seed}`);
  client.send(GET);
  expect((await client.takeResponse()).body).toBe(`seed ${seed}`);
  client.close();
  while (mesh.engine.stats().downstreamConnections > 0) await Bun.sleep(5);
  expect(mesh.engine.stats().exchanges).toBe(0);
  expect(mesh.engine.snapshot.clusters.get("svc")?.limits.usage).toMatchObject({
    requests: 0,
    pending: 0,
    retries: 0,
  });
});

describe("a body of many small chunks", () => {
  const head = "POST / HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\n";
  const chunks = (count: number): string => "1\r\nx\r\n".repeat(count);

  test("arrives whole, and so does the request behind it", async () => {
    const { client, service } = await setUp();
    for (const count of [255, 256, 257, 512, 20_000]) {
      const before = service.requests.length;
      client.send(`${head}${chunks(count)}0\r\n\r\n${GET}`);
      await client.takeResponse();
      await client.takeResponse();
      const [long, next] = service.requests.slice(before);
      expect([long!.method, long!.body.length]).toEqual(["POST", count]);
      expect([next!.method, next!.body.length]).toEqual(["GET", 0]);
    }
  });

  test("leaves its turns to others: who came later is answered earlier", async () => {
    const { client, service, connect } = await setUp();
    const other = await connect();
    // Both have their upstream connections by now.
    for (const one of [client, other]) one.send(GET);
    for (const one of [client, other]) await one.takeResponse();
    client.send(`${head}${chunks(60_000)}0\r\n\r\n`);
    for (let i = 0; i < 3; i++) {
      other.send(GET);
      await other.takeResponse();
    }
    await client.takeResponse();
    const ended = service.requests.map(({ method }) => method).join(" ");
    expect(ended).toBe("GET GET GET GET GET POST");
    expect(service.requests.at(-1)!.body.length).toBe(60_000);
  });

  test("whose client goes in the middle of it disturbs nobody", async () => {
    const { client, connect } = await setUp();
    client.send(head + chunks(60_000));
    const other = await connect();
    client.terminate();
    other.send(GET);
    expect((await other.takeResponse()).status).toBe(200);
  });
});
