/** Connect's own clients of gRPC and gRPC-Web, through the proxy, to Connect's own gRPC server. */
import { afterEach, describe, expect, test } from "bun:test";
import { createServer } from "node:http2";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  connectNodeAdapter,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { DiscoveryService } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { EngineFixture } from "../../testing/engine-fixture.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

/** A server that speaks gRPC and nothing else, behind the inbound side of a proxy. */
async function start(): Promise<{ url: string; mesh: EngineFixture; close: () => void }> {
  const server = createServer(
    connectNodeAdapter({
      connect: false,
      grpcWeb: false,
      routes(router) {
        router.service(DiscoveryService, {
          async *watch({ version }, { requestHeader, responseHeader, responseTrailer }) {
            responseHeader.set("x-saw-bin", requestHeader.get("x-send-bin") ?? "");
            responseTrailer.set("x-end", "done");
            for (let i = 0; i < Number(version); i++) yield { baseVersion: `${i}`.repeat(i * 500) };
            if (version === "3") throw new ConnectError("three is too many: 100 %", Code.Aborted);
          },
          acknowledge({ problems }) {
            return problems.length > 0 ? {} : new Promise(() => {});
          },
        });
      },
    }),
  );
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const close = (): void => {
    for (const session of sessions) session.destroy();
    server.close();
  };
  closers.push(close);
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const mesh = new EngineFixture({ endpoints: [] });
  closers.push(() => mesh.close());
  return { url: `http://127.0.0.1:${mesh.listenInbound(address.port, "http2")}`, mesh, close };
}

const transports: readonly (readonly [name: string, make: (baseUrl: string) => Transport])[] = [
  ["gRPC", (baseUrl) => createGrpcTransport({ baseUrl })],
  ["gRPC-Web over HTTP/1.1", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ["gRPC-Web over HTTP/2", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
];

for (const [name, make] of transports)
  describe(name, () => {
    test("calls, and calls with streams, metadata and trailers", async () => {
      const { url } = await start();
      const client = createClient(DiscoveryService, make(url));
      expect(await client.acknowledge({ problems: ["x".repeat(100_000)] })).toBeDefined();
      const seen: (string | null)[] = [];
      const options = {
        headers: { "x-send-bin": "AAEC" },
        onHeader: (headers: Headers) => seen.push(headers.get("x-saw-bin")),
        onTrailer: (trailers: Headers) => seen.push(trailers.get("x-end")),
      };
      const lengths: number[] = [];
      for await (const { baseVersion } of client.watch({ version: "5" }, options))
        lengths.push(baseVersion.length);
      expect(lengths).toEqual([0, 500, 1_000, 1_500, 2_000]);
      expect(seen).toEqual(["AAEC", "done"]);
    });

    test("a server's error after some messages", async () => {
      const { url } = await start();
      const client = createClient(DiscoveryService, make(url));
      let messages = 0;
      const watch = (async () => {
        for await (const _ of client.watch({ version: "3" })) messages++;
      })();
      const error = await watch.catch((reason: unknown) => ConnectError.from(reason));
      expect(error).toMatchObject({ code: Code.Aborted, rawMessage: "three is too many: 100 %" });
      expect(messages).toBe(3);
    });

    test("a deadline, and a service that is not there", async () => {
      const { url, close } = await start();
      const client = createClient(DiscoveryService, make(url));
      const late = client.acknowledge({}, { headers: { "grpc-timeout": "50m" } });
      const error = await late.catch((reason: unknown) => ConnectError.from(reason));
      expect(error).toMatchObject({ code: Code.DeadlineExceeded });
      close();
      const gone = client.acknowledge({});
      expect(await gone.catch((reason: unknown) => ConnectError.from(reason))).toMatchObject({
        code: Code.Unavailable,
      });
    });
  });
