/** A caller, an engine and a gRPC service over HTTP/2, for one test; all closed after it. */
import { afterEach } from "bun:test";
import type { ServerHttp2Stream } from "node:http2";
import { EngineFixture, type EngineFixtureOptions } from "./engine-fixture.ts";
import { Http2Client, type Http2Script, Http2Service } from "./http2-runtime.ts";

const HTTP2 = 3;

export interface GrpcSetUp {
  /** Until the test ends. */
  closing<T extends { close(): void }>(one: T): T;
  toService(
    script: Http2Script,
    options?: Partial<EngineFixtureOptions>,
  ): Promise<{
    readonly service: Http2Service;
    readonly mesh: EngineFixture;
    readonly client: Http2Client;
  }>;
  /** Without a service. */
  alone(options?: Partial<EngineFixtureOptions>): {
    readonly mesh: EngineFixture;
    readonly client: Http2Client;
  };
}

/** Call once in a test file. */
export function grpcSetUp(): GrpcSetUp {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0).reverse()) close();
  });
  const closing = <T extends { close(): void }>(one: T): T => {
    closers.push(() => one.close());
    return one;
  };
  const proxy = (endpoints: readonly number[], options: Partial<EngineFixtureOptions>) => {
    const cluster = { protocol: HTTP2, ...options.cluster };
    const mesh = closing(new EngineFixture({ endpoints, ...options, cluster }));
    return { mesh, client: closing(new Http2Client(mesh.port)) };
  };
  return {
    closing,
    alone: (options = {}) => proxy([], options),
    async toService(script, options = {}) {
      const service = closing(await Http2Service.start(script));
      return { service, ...proxy([service.port], options) };
    },
  };
}

export const asGrpc = { "content-type": "application/grpc" } as const;
/** The head of a call. */
export const grpcCall = {
  ":method": "POST",
  ":path": "/shop.Cart/Add",
  te: "trailers",
  ...asGrpc,
} as const;

/** A response of the service: content, then trailers. */
export function answerCall(stream: ServerHttp2Stream, content: string, status: number): void {
  stream.respond({ ":status": 200, ...asGrpc }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": String(status) }));
  stream.end(content);
}

/** A response that is trailers only. */
export function failCall(
  stream: ServerHttp2Stream,
  status: number,
  fields: Readonly<Record<string, string>> = {},
): void {
  const head = { ":status": 200, ...asGrpc, "grpc-status": String(status), ...fields };
  stream.respond(head, { endStream: true });
}
