/** A client, an engine and a service, connected, for one test; all closed after it. */
import { afterEach } from "bun:test";
import { EngineFixture, type EngineFixtureOptions } from "./engine-fixture.ts";
import { type FakeScript, FakeUpstream } from "./fake-upstream.ts";
import type { RawClient } from "./raw-client.ts";

export interface EngineSetUp {
  readonly client: RawClient;
  readonly service: FakeUpstream;
  readonly mesh: EngineFixture;
  /** Another client. */
  readonly connect: () => Promise<RawClient>;
  /** Another service. */
  readonly serve: (script?: FakeScript) => FakeUpstream;
}

export type SetUp = (
  script?: FakeScript,
  options?: Partial<EngineFixtureOptions> | ((port: number) => Partial<EngineFixtureOptions>),
) => Promise<EngineSetUp>;

/** Call once in a test file. */
export function engineSetUp(): SetUp {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0).reverse()) close();
  });
  return async (script, options = {}) => {
    const serve = (other?: FakeScript): FakeUpstream => {
      const service = new FakeUpstream(other === undefined ? {} : { script: other });
      closers.push(() => service.close());
      return service;
    };
    const service = serve(script);
    const chosen = typeof options === "function" ? options(service.port) : options;
    const mesh = new EngineFixture({ endpoints: [service.port], ...chosen });
    closers.push(() => mesh.close());
    const connect = async (): Promise<RawClient> => {
      const client = await mesh.connect();
      closers.push(() => client.terminate());
      return client;
    };
    return { client: await connect(), service, mesh, connect, serve };
  };
}
