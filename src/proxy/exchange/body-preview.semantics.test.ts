/** Content that an external authorizer wants to see before a request goes anywhere. */
import { expect, test } from "bun:test";
import { engineSetUp } from "../../testing/engine-set-up.ts";
import { FakeStep, useAccess } from "../../testing/fake-access.ts";
import { grpcSetUp } from "../../testing/grpc-set-up.ts";

const setUp = engineSetUp();
const grpc = grpcSetUp();
const custom = {
  name: "c",
  action: "CUSTOM",
  provider: "opa",
  rules: [{ to: [{ paths: ["/pay*"] }] }],
} as const;

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(1);
}

async function showing(bodyBytesMax: number) {
  const bodies: string[] = [];
  const authorizer = new FakeStep(({ body, bodyIsPartial }) => {
    bodies.push(`${Buffer.from(body).toString()}${bodyIsPartial ? "…" : ""}`);
    return undefined;
  });
  authorizer.bodyBytesMax = bodyBytesMax;
  const all = await setUp();
  useAccess(all.mesh, { policies: [custom], authorizer });
  return { ...all, bodies, authorizer };
}
const post = (fields: string): string => `POST /pay HTTP/1.1\r\nHost: svc\r\n${fields}\r\n\r\n`;

test("sees the content, and the service gets all of it", async () => {
  const { client, service, bodies } = await showing(4);
  for (const body of ["abc", "abcd", "abcdef", ""]) {
    client.send(`${post(`Content-Length: ${body.length}`)}${body}`);
    expect((await client.takeResponse()).status).toBe(200);
  }
  expect(bodies).toEqual(["abc", "abcd", "abcd…", ""]);
  expect(service.requests.map(({ body }) => body)).toEqual(["abc", "abcd", "abcdef", ""]);
});

test("is asked when the content has come, however it is cut", async () => {
  const { client, service, bodies, authorizer } = await showing(100);
  const next = "GET / HTTP/1.1\r\nHost: svc\r\n\r\n";
  const chunked = "3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
  for (const [head, content] of [
    [post("Content-Length: 7"), "abcdefg"],
    [post("Transfer-Encoding: chunked"), chunked],
  ] as const)
    for (let cut = 0; cut <= content.length; cut++) {
      const { asked } = authorizer;
      const { length } = service.requests;
      client.send(`${head}${content.slice(0, cut)}`);
      await Bun.sleep(1);
      expect(authorizer.asked - asked).toBe(cut === content.length ? authorizer.asked - asked : 0);
      client.send(`${content.slice(cut)}${next}`);
      expect((await client.takeResponse()).status).toBe(200);
      expect((await client.takeResponse()).status).toBe(200);
      expect(bodies.splice(0)).toEqual(["abcdefg"]);
      expect(service.requests[length]!.body).toBe("abcdefg");
    }
});

test("sees no more than it asked for of content that goes on", async () => {
  const { client, service, bodies } = await showing(5);
  client.send(`${post("Content-Length: 200000")}abc`);
  client.send("x".repeat(100_000));
  await until(() => bodies.length === 1);
  client.send("x".repeat(99_997));
  expect((await client.takeResponse()).status).toBe(200);
  expect(bodies).toEqual(["abcxx…"]);
  expect(service.requests[0]!.body.length).toBe(200_000);
});

test("sees what a client sends only when it is told to go on", async () => {
  const { client, bodies } = await showing(10);
  client.send(post("Content-Length: 3\r\nExpect: 100-continue"));
  await until(() => client.received.includes("100 Continue"));
  client.send("abc");
  await until(() => bodies.length === 1);
  expect(bodies).toEqual(["abc"]);
});

test("is not asked about a client that goes in the middle of it", async () => {
  const { client, service, authorizer } = await showing(10);
  client.send(`${post("Content-Length: 8")}abc`);
  await Bun.sleep(5);
  client.terminate();
  await Bun.sleep(5);
  expect([authorizer.asked, service.requests.length]).toEqual([0, 0]);
});

test("sees content of HTTP/2, and its window opens again", async () => {
  const bodies: number[] = [];
  const { mesh, client } = await grpc.toService((stream) => {
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.on("end", () => {
      stream.respond({ ":status": 200 });
      stream.end(String(bytes));
    });
  });
  const authorizer = new FakeStep(({ body }) => {
    bodies.push(body.length);
    return undefined;
  });
  authorizer.bodyBytesMax = 300_000;
  useAccess(mesh, { policies: [custom], authorizer });
  const head = { ":method": "POST", ":path": "/pay", ":authority": "svc" } as const;
  for (const length of [10, 1_000_000]) {
    const answer = await client.request(head, Buffer.alloc(length, 120));
    expect(Number(answer.headers[":status"])).toBe(200);
    expect(String(answer.body)).toBe(String(length));
  }
  expect(bodies).toEqual([10, 300_000]);
});
