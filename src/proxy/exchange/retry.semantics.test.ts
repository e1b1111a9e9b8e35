/** Timeouts and retries as an operator writes them, between a real client and real services. */
import { afterEach, describe, expect, test } from "bun:test";
import {
  RetryPolicy_Condition as Condition,
  LoadBalancer,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { EngineFixture, type EngineFixtureOptions } from "../../testing/engine-fixture.ts";
import { type FakeReply, type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";
import type { RawClient } from "../../testing/raw-client.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

interface Mesh {
  readonly client: RawClient;
  readonly services: readonly FakeUpstream[];
  readonly mesh: EngineFixture;
}

/** A service for each script, all of them endpoints of "svc". */
async function setUp(
  scripts: readonly FakeScript[],
  options: Partial<EngineFixtureOptions> = {},
): Promise<Mesh> {
  const services = scripts.map((script) => new FakeUpstream({ script }));
  const mesh = new EngineFixture({ endpoints: services.map(({ port }) => port), ...options });
  const client = await mesh.connect();
  closers.push(
    () => mesh.close(),
    () => client.terminate(),
    ...services.map((service) => () => service.close()),
  );
  return { client, services, mesh };
}

function get(...fields: readonly string[]): string {
  return `${["GET / HTTP/1.1", "Host: svc", ...fields].join("\r\n")}\r\n\r\n`;
}

type Reply = (reply: FakeReply) => void;

/** Answers each request in turn as its entry says; the last one again and again. */
function inTurn(...replies: readonly Reply[]): FakeScript {
  let next = 0;
  return (_request, reply) => replies[Math.min(next++, replies.length - 1)]!(reply);
}

const ok = (reply: FakeReply): void => reply.respond(200, "ok");
const fails = (status: number) => (reply: FakeReply) => reply.respond(status, "no");
const silent = (): void => {};
const resets = (reply: FakeReply): void => reply.reset();
const asked = ({ services }: Mesh): number =>
  services.reduce((sum, { requests }) => sum + requests.length, 0);

const backoffMs = 1;

describe("a route's timeout", () => {
  test("ends an exchange that has no answer with 504 and the reason", async () => {
    const mesh = await setUp([silent], { route: { timeoutMs: 60 } });
    const started = performance.now();
    mesh.client.send(get());
    const answer = await mesh.client.takeResponse();
    expect(answer.status).toBe(504);
    expect(answer.head).toContain("x-mesh-reason: upstream-timeout");
    expect(performance.now() - started).toBeGreaterThanOrEqual(55);
    expect(mesh.mesh.scrape()).toMatch(/upstream_rq_timeout\{envoy_cluster_name="svc"\} 1/);
    mesh.client.send(get());
    expect((await mesh.client.takeResponse()).status).toBe(504);
  });

  test("covers all tries together", async () => {
    const mesh = await setUp([silent], {
      route: { timeoutMs: 300, retry: { attempts: 100, perTryTimeoutMs: 100, backoffMs } },
    });
    mesh.client.send(get());
    expect((await mesh.client.takeResponse()).status).toBe(504);
    expect(asked(mesh)).toBeGreaterThanOrEqual(2);
    expect(asked(mesh)).toBeLessThanOrEqual(4);
  });

  test("does not cut an answer short that has begun in time", async () => {
    const slow: FakeScript = async (_request, reply) => {
      reply.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
      await Bun.sleep(60);
      reply.send("k");
    };
    const mesh = await setUp([slow], { route: { timeoutMs: 2_000 } });
    mesh.client.send(get());
    expect((await mesh.client.takeResponse()).body).toBe("ok");
  });

  test("is replaced by what the caller says, which is not passed on", async () => {
    const mesh = await setUp([silent], { route: { timeoutMs: 60_000 } });
    mesh.client.send(get("x-envoy-upstream-rq-timeout-ms: 40"));
    expect((await mesh.client.takeResponse()).status).toBe(504);
    expect(mesh.services[0]!.received).not.toContain("x-envoy-upstream-rq-timeout-ms");
  });
});

describe("a retry", () => {
  test("turns a failed try into an answer, and the client sees only that", async () => {
    const mesh = await setUp([inTurn(fails(503), fails(500), ok)], {
      route: { retry: { attempts: 2, backoffMs } },
    });
    mesh.client.send(get());
    const answer = await mesh.client.takeResponse();
    expect([answer.status, answer.body]).toEqual([200, "ok"]);
    expect(asked(mesh)).toBe(3);
    expect(mesh.mesh.scrape()).toMatch(/upstream_rq_retry\{envoy_cluster_name="svc"\} 2/);
    expect(mesh.mesh.scrape()).toMatch(/upstream_rq_retry_success\{envoy_cluster_name="svc"\} 1/);
  });

  test("happens as often as the rule says, then the last answer is passed on", async () => {
    const mesh = await setUp([inTurn(fails(503))], {
      route: { retry: { attempts: 3, backoffMs } },
    });
    mesh.client.send(get());
    const answer = await mesh.client.takeResponse();
    expect([answer.status, answer.body]).toEqual([503, "no"]);
    expect(asked(mesh)).toBe(4);
  });

  test("is not made without a rule", async () => {
    const mesh = await setUp([inTurn(fails(503))]);
    mesh.client.send(get());
    expect((await mesh.client.takeResponse()).status).toBe(503);
    expect(asked(mesh)).toBe(1);
  });

  // biome-ignore format: a table reads as a table
  const rows: readonly [what: string, on: Condition[], first: Reply, retried: boolean][] = [
    ["404 on 5xx",             [Condition.CONDITION_5XX],             fails(404), false],
    ["500 on 5xx",             [Condition.CONDITION_5XX],             fails(500), true],
    ["500 on gateway errors",  [Condition.CONDITION_GATEWAY_ERROR],   fails(500), false],
    ["502 on gateway errors",  [Condition.CONDITION_GATEWAY_ERROR],   fails(502), true],
    ["503 on connect failure", [Condition.CONDITION_CONNECT_FAILURE], fails(503), false],
    ["a reset on reset",       [Condition.CONDITION_RESET],           resets,     true],
    ["a reset on 5xx",         [Condition.CONDITION_5XX],             resets,     true],
    ["a reset on connect failure", [Condition.CONDITION_CONNECT_FAILURE], resets, false],
    ["a lost GET on idempotent resets", [Condition.CONDITION_IDEMPOTENT_RESET], resets, true],
  ];
  for (const [what, on, first, retried] of rows)
    test(`${retried ? "answers" : "does not answer"} ${what}`, async () => {
      const mesh = await setUp([inTurn(first, ok)], {
        route: { retry: { attempts: 1, on, backoffMs } },
      });
      mesh.client.send(get());
      expect((await mesh.client.takeResponse()).status === 200).toBe(retried);
      expect(asked(mesh)).toBe(retried ? 2 : 1);
    });

  test("of a lost POST is not made where only idempotent requests may be repeated", async () => {
    const mesh = await setUp([inTurn(resets, ok)], {
      route: { retry: { attempts: 1, on: [Condition.CONDITION_IDEMPOTENT_RESET], backoffMs } },
    });
    mesh.client.send("POST / HTTP/1.1\r\nHost: svc\r\nContent-Length: 2\r\n\r\nhi");
    expect((await mesh.client.takeResponse()).status).toBe(503);
    expect(asked(mesh)).toBe(1);
  });

  test("follows the refusal of a sidecar whose application is gone, not one like it", async () => {
    const refusal = (reason: string) => (reply: FakeReply) =>
      reply.respond(503, "no", { "x-mesh-reason": reason });
    for (const [reason, method, retried] of [
      ["upstream-connect-failure", "GET", true],
      ["upstream-connect-failure", "POST", false],
      ["circuit-breaker-open", "GET", false],
    ] as const) {
      const mesh = await setUp([inTurn(refusal(reason), ok)], {
        route: { retry: { attempts: 1, on: [Condition.CONDITION_CONNECT_FAILURE], backoffMs } },
      });
      mesh.client.send(`${method} / HTTP/1.1\r\nHost: svc\r\nContent-Length: 0\r\n\r\n`);
      expect((await mesh.client.takeResponse()).status === 200).toBe(retried);
    }
  });

  test("goes to another endpoint than the one that failed", async () => {
    const mesh = await setUp([inTurn(fails(503)), inTurn(fails(503)), inTurn(fails(503))], {
      route: { retry: { attempts: 1, backoffMs } },
      cluster: { loadBalancer: LoadBalancer.RANDOM },
    });
    for (let i = 0; i < 20; i++) {
      const before = mesh.services.map(({ requests }) => requests.length);
      mesh.client.send(get());
      await mesh.client.takeResponse();
      const more = mesh.services.map(({ requests }, at) => requests.length - before[at]!);
      expect(Math.max(...more)).toBe(1);
    }
  });

  test("reaches a living endpoint when another refuses connections", async () => {
    const gone = new FakeUpstream();
    gone.close();
    const mesh = await setUp([inTurn(ok)]);
    mesh.mesh.publish({
      endpoints: [gone.port, mesh.services[0]!.port],
      route: { retry: { attempts: 1, on: [Condition.CONDITION_CONNECT_FAILURE], backoffMs } },
    });
    for (let i = 0; i < 6; i++) {
      mesh.client.send(get());
      expect((await mesh.client.takeResponse()).status).toBe(200);
    }
  });

  test("has nothing to do with the rest of the answer that it replaces", async () => {
    let first: FakeReply | undefined;
    const half = "HTTP/1.1 503 No\r\nContent-Length: 10\r\n\r\nhalf";
    const mesh = await setUp(
      [
        inTurn(
          (reply) => {
            first = reply;
            reply.send(half);
          },
          (reply) => {
            first?.send("xxxxxx");
            reply.respond(200, "ok");
          },
          ok,
        ),
      ],
      { route: { retry: { attempts: 1, backoffMs } } },
    );
    for (let i = 0; i < 2; i++) {
      mesh.client.send(get());
      const answer = await mesh.client.takeResponse();
      expect([answer.status, answer.body]).toEqual([200, "ok"]);
    }
    const [service] = mesh.services;
    await service!.until(() => service!.openConnections === 1);
    expect(service!.connections).toBe(2);
  });

  test("sends the body once more", async () => {
    const mesh = await setUp([inTurn(fails(503), ok)], {
      route: { retry: { attempts: 1, backoffMs } },
    });
    mesh.client.send("POST /x HTTP/1.1\r\nHost: svc\r\nContent-Length: 5\r\n\r\nhello");
    expect((await mesh.client.takeResponse()).status).toBe(200);
    expect(mesh.services[0]!.requests.map(({ body }) => body)).toEqual(["hello", "hello"]);
  });

  test("sends a chunked body once more, in its whole", async () => {
    const mesh = await setUp([inTurn(fails(503), ok)], {
      route: { retry: { attempts: 1, backoffMs } },
    });
    mesh.client.send("POST /x HTTP/1.1\r\nHost: svc\r\nTransfer-Encoding: chunked\r\n\r\n");
    mesh.client.send("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    expect((await mesh.client.takeResponse()).status).toBe(200);
    expect(mesh.services[0]!.requests.map(({ body }) => body)).toEqual([
      "hello world",
      "hello world",
    ]);
  });

  test("is not made of a body larger than what is kept", async () => {
    const mesh = await setUp([inTurn(fails(503), ok)], {
      route: { retry: { attempts: 1, backoffMs } },
      limits: { replayBytesMax: 1_000 },
    });
    const body = "x".repeat(2_000);
    mesh.client.send(`POST /x HTTP/1.1\r\nHost: svc\r\nContent-Length: 2000\r\n\r\n${body}`);
    expect((await mesh.client.takeResponse()).status).toBe(503);
    expect(asked(mesh)).toBe(1);
  });

  test("may be forbidden or allowed by the caller, whose field is not passed on", async () => {
    const mesh = await setUp([inTurn(fails(503))], {
      route: { retry: { attempts: 1, backoffMs } },
    });
    mesh.client.send(get("x-envoy-max-retries: 0"));
    await mesh.client.takeResponse();
    expect(asked(mesh)).toBe(1);
    mesh.client.send(get("x-envoy-max-retries: 3"));
    await mesh.client.takeResponse();
    expect(asked(mesh)).toBe(5);
    expect(mesh.services[0]!.received).not.toContain("x-envoy-max-retries");
  });

  test("says no more than the first try when others were served meanwhile", async () => {
    const mesh = await setUp([inTurn(fails(503), ok)], {
      route: { retry: { attempts: 1, backoffMs: 40 } },
    });
    const other = await mesh.mesh.connect();
    closers.push(() => other.terminate());
    mesh.client.send(
      get("x-envoy-max-retries: 2", "x-envoy-upstream-rq-timeout-ms: 3000", "x-a: 1"),
    );
    await mesh.services[0]!.until(() => asked(mesh) === 1);
    other.send(get("x-b: 2"));
    await other.takeResponse();
    expect((await mesh.client.takeResponse()).status).toBe(200);
    const [first, , third] = mesh.services[0]!.requests;
    expect(third!.head).toBe(first!.head);
    expect(first!.field("x-a")).toBe("1");
  });

  test("sends what the first try sent: rewritten, with the rule's fields", async () => {
    const mesh = await setUp([inTurn(fails(503), ok)], {
      route: {
        retry: { attempts: 1, backoffMs },
        rewrite: { uri: "/new", authority: "other" },
        appendRequestHeaders: [{ name: "x-by", value: "rule" }],
      },
    });
    mesh.client.send(get());
    await mesh.client.takeResponse();
    const [first, second] = mesh.services[0]!.requests;
    expect(second!.head).toBe(first!.head);
    expect(first!.head).toContain("GET /new HTTP/1.1\r\n");
    expect(first!.field("host")).toBe("other");
    expect(first!.field("x-by")).toBe("rule");
  });
});

describe("a timeout of one try", () => {
  test("begins another one", async () => {
    const mesh = await setUp([inTurn(silent, ok)], {
      route: { retry: { attempts: 1, perTryTimeoutMs: 200, backoffMs } },
    });
    mesh.client.send(get());
    expect((await mesh.client.takeResponse()).status).toBe(200);
    expect(asked(mesh)).toBe(2);
    expect(mesh.mesh.scrape()).toMatch(/upstream_rq_per_try_timeout\{envoy_cluster_name="svc"\} 1/);
  });

  test("ends the exchange with 504 when no try is left", async () => {
    const mesh = await setUp([silent], {
      route: { retry: { attempts: 1, perTryTimeoutMs: 30, backoffMs } },
    });
    mesh.client.send(get());
    expect((await mesh.client.takeResponse()).status).toBe(504);
    expect(asked(mesh)).toBe(2);
  });
});
