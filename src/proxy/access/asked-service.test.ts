/** Authorizers that are services: who is asked, how, and who else when that one is away. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type JsonObject, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { CheckResponseSchema } from "../../api/gen/envoy/service/auth/v3/external_auth_pb.ts";
import { ExternalAuthorizerSchema } from "../../api/gen/mesh/v1/access_pb.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { seededRandom } from "../../core/random.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { accessRequest } from "../../testing/access-request.ts";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { EngineFixture } from "../../testing/engine-fixture.ts";
import { type FakeScript, FakeUpstream } from "../../testing/fake-upstream.ts";
import { freePorts } from "../../testing/free-port.ts";
import { Guard, idOf, member } from "../../testing/mesh-member.ts";
import { published, type SampleParts } from "../../testing/snapshot-sample.ts";
import type { MeshIdentity } from "../identity/mesh-identity.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { UpstreamCredentials } from "../upstream/upstream-credentials.ts";
import type { AccessPass, AccessRefusal, AccessStep } from "./access-step.ts";
import { ExternalAuthorizerSteps } from "./ext-authz-steps.ts";
import { ServiceClusters } from "./service-clusters.ts";

const HTTP = 1;
const GRPC = 2;
const HOST = "opa.default.svc.cluster.local";
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const root = new CertificateAuthority();
const log = new Log("test", { level: "error" });

function rootsFile(): string {
  const directory = mkdtempSync(join(tmpdir(), "mesh-authorizer-"));
  closers.push(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "roots.pem");
  writeFileSync(path, root.certificate);
  return path;
}

interface Published {
  /** Of the authorizer. */
  readonly endpoints: readonly (number | readonly [port: number, identity: string])[];
  readonly cluster?: JsonObject;
}

interface Place {
  readonly service: string;
  readonly port: number;
  readonly timeoutMs?: number;
}

const place: Place = { service: HOST, port: 9191 };

/** What is published, which may be something else from now on. */
class Mesh {
  #snapshot: Snapshot | undefined = undefined;
  readonly services = new ServiceClusters(() => this.#snapshot);
  readonly #parts: SampleParts;

  constructor() {
    const credentials = new UpstreamCredentials({ clock: systemClock, log });
    this.#parts = { clock: systemClock, credentials, resolve: async () => [] };
    closers.push(
      () => this.#snapshot?.close(),
      () => credentials.close(),
    );
  }

  publish({ endpoints, cluster = {} }: Published): void {
    const name = `outbound|9191||${HOST}`;
    this.#snapshot = published(
      {
        clusters: [
          // A subset, and what is passed on as it is, are not meant.
          { name: `outbound|9191|v=1|${HOST}`, service: HOST, port: 9191, labels: { v: "1" } },
          { name: `tunnel|9191||${HOST}`, service: HOST, port: 9191 },
          { name, service: HOST, port: 9191, connectTimeoutMs: 1_000, ...cluster },
        ],
        endpointSets: [
          {
            cluster: name,
            endpoints: endpoints.map((one) => {
              const [port, identity] = typeof one === "number" ? [one, ""] : one;
              return { address: "127.0.0.1", port, identity };
            }),
          },
        ],
      },
      { ...this.#parts, former: this.#snapshot },
    );
  }

  /** Questions that are under way, as balancing has it. */
  get active(): number {
    const { endpoints = [] } = this.services.find(HOST, 9191) ?? {};
    return endpoints.reduce((sum, { active }) => sum + active, 0);
  }

  /** Nothing is known of the service. */
  forget(): void {
    this.#snapshot = published({}, { ...this.#parts, former: this.#snapshot });
  }

  /** As a rule for what is outside has it: the name itself is all that is known. */
  publishOutside(service: string, port: number): void {
    const name = `outbound|${port}||${service}`;
    const tls = { caCertificates: rootsFile() };
    const cluster = { name, service, port, discovery: "DISCOVERY_ORIGINAL", tls };
    this.#snapshot = published({ clusters: [cluster] }, this.#parts);
  }

  step(
    protocol: number,
    identity?: MeshIdentity,
    { service, port, timeoutMs = 5_000 }: Place = place,
  ): AccessStep {
    const { services } = this;
    const common = { clock: systemClock, random: seededRandom(1), log, metrics: new Metrics() };
    const steps = new ExternalAuthorizerSteps({
      ...common,
      services,
      ...(identity && { identity }),
    });
    closers.push(() => steps.close());
    const rule = { name: "opa", protocol, service, port, timeoutMs };
    return steps.stepFor(create(ExternalAuthorizerSchema, rule));
  }
}

function meshOf(what: Published): Mesh {
  const mesh = new Mesh();
  mesh.publish(what);
  return mesh;
}

/** "passed", or why not. */
function ask(step: AccessStep): Promise<string> {
  return new Promise((resolve) => {
    const told = (answer: AccessPass | AccessRefusal): void =>
      resolve(answer.at === "passed" ? "passed" : answer.by.reason);
    const answer = step.ask(accessRequest("GET /"), { answered: told });
    if (answer?.at !== "waiting") throw new Error("it has to wait");
  });
}

async function askTimes(step: AccessStep, times: number): Promise<string[]> {
  const answers = new Set<string>();
  for (let i = 0; i < times; i++) answers.add(await ask(step));
  return [...answers];
}

interface Authorizer {
  readonly port: number;
  /** Questions that it got. */
  readonly asked: () => number;
  readonly stop: () => void;
  /** From now on it does this in place of an answer. */
  readonly failWith: (does: () => void) => void;
}

/** A certificate by an authority that the proxy believes, or by a strange one, for this host. */
interface Secure {
  readonly host: string;
  readonly by?: CertificateAuthority;
}

function pairOf({ host, by = root }: Secure): { readonly cert: Buffer; readonly key: Buffer } {
  const { chain, key } = by.issue({ name: host, for: [`DNS:${host}`] });
  return { cert: Buffer.from(chain), key: Buffer.from(key) };
}

async function httpAuthorizer(secure?: Secure): Promise<Authorizer> {
  let fails: (() => void) | undefined;
  const failWith = (does: () => void): void => {
    fails = does;
  };
  if (secure !== undefined) {
    let asked = 0;
    const server = createServer(pairOf(secure), (_, response) => {
      asked++;
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    return { port, asked: () => asked, stop: () => server.close(), failWith };
  }
  const server = new FakeUpstream({
    script: (_, reply) => (fails === undefined ? reply.respond(200) : fails()),
  });
  closers.push(() => server.close());
  const { port } = server;
  return { port, asked: () => server.requests.length, stop: () => server.close(), failWith };
}

async function grpcAuthorizer(secure?: Secure): Promise<Authorizer> {
  const server = new grpc.Server();
  const definition = {
    path: "/envoy.service.auth.v3.Authorization/Check",
    ...{ requestStream: false, responseStream: false, originalName: "check" },
    requestSerialize: () => Buffer.alloc(0),
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
    responseDeserialize: (bytes: Buffer) => bytes,
  };
  let asked = 0;
  let fails: (() => void) | undefined;
  const yes = toBinary(CheckResponseSchema, create(CheckResponseSchema, { status: { code: 0 } }));
  const handle: grpc.handleUnaryCall<unknown, Uint8Array> = (_, reply) => {
    asked++;
    if (fails === undefined) reply(null, yes);
    else fails();
  };
  server.addService({ Check: definition } as grpc.ServiceDefinition, { Check: handle });
  const { cert, key } = secure === undefined ? {} : pairOf(secure);
  const credentials =
    cert === undefined || key === undefined
      ? grpc.ServerCredentials.createInsecure()
      : grpc.ServerCredentials.createSsl(null, [{ cert_chain: cert, private_key: key }]);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  closers.push(() => server.forceShutdown());
  return {
    port,
    asked: () => asked,
    stop: () => server.forceShutdown(),
    failWith: (does) => {
      fails = does;
    },
  };
}

const kinds = [
  ["HTTP", HTTP, httpAuthorizer, "http"],
  ["gRPC", GRPC, grpcAuthorizer, "http2"],
] as const;

describe.each(kinds)("an authorizer of %s", (_, protocol, start, speaks) => {
  test("is asked at all of its endpoints", async () => {
    const all = await Promise.all([start(), start(), start()]);
    const mesh = meshOf({ endpoints: all.map(({ port }) => port) });
    expect(await askTimes(mesh.step(protocol), 60)).toEqual(["passed"]);
    for (const { asked } of all) expect(asked()).toBeGreaterThan(0);
    expect(mesh.active).toBe(0);
  });

  test("is not asked by who has gone meanwhile", async () => {
    const one = await start();
    const mesh = meshOf({ endpoints: [one.port] });
    const answered = (): void => expect.unreachable();
    const waiting = mesh.step(protocol).ask(accessRequest("GET /"), { answered });
    expect(mesh.active).toBe(1);
    if (waiting?.at === "waiting") waiting.cancel();
    expect(mesh.active).toBe(0);
  });

  test("that is lost with a question on a new connection is the only one that had it", async () => {
    const all = await Promise.all([start(), start()]);
    for (const one of all) one.failWith(() => one.stop());
    const mesh = meshOf({ endpoints: all.map(({ port }) => port) });
    expect(await ask(mesh.step(protocol))).not.toBe("passed");
    expect(all[0].asked() + all[1].asked()).toBe(1);
    expect(mesh.active).toBe(0);
  });

  test("that is late is the only one that had the question", async () => {
    const all = await Promise.all([start(), start()]);
    for (const one of all) one.failWith(() => {});
    const mesh = meshOf({ endpoints: all.map(({ port }) => port) });
    const step = mesh.step(protocol, undefined, { ...place, timeoutMs: 300 });
    expect(await ask(step)).not.toBe("passed");
    expect(all[0].asked() + all[1].asked()).toBe(1);
  });

  test("is asked elsewhere where a connection comes to nothing", async () => {
    const [dead = 0, alsoDead = 0] = freePorts(2);
    const one = await start();
    const mesh = meshOf({ endpoints: [dead, one.port, alsoDead] });
    expect(await askTimes(mesh.step(protocol), 40)).toEqual(["passed"]);
    expect(one.asked()).toBe(40);
  });

  test("is asked elsewhere where the one that was asked is gone", async () => {
    const [one, other] = await Promise.all([start(), start()]);
    const mesh = meshOf({ endpoints: [one.port, other.port] });
    const step = mesh.step(protocol);
    expect(await askTimes(step, 20)).toEqual(["passed"]);
    one.stop();
    expect(await askTimes(step, 20)).toEqual(["passed"]);
    expect(one.asked() + other.asked()).toBe(40);
  });

  test("that is nowhere has judged nothing", async () => {
    const [port = 0, other = 0] = freePorts(2);
    const mesh = meshOf({ endpoints: [port] });
    const step = mesh.step(protocol);
    expect(await ask(step)).toBe("connection refused");
    mesh.publish({ endpoints: [port, other] });
    expect(await ask(step)).toBe("connection refused");
    mesh.publish({ endpoints: [] });
    expect(await ask(step)).toBe(`there is nobody of ${HOST}`);
  });

  test("is followed to where it is now", async () => {
    const [one, other] = await Promise.all([start(), start()]);
    const mesh = meshOf({ endpoints: [one.port] });
    const step = mesh.step(protocol);
    expect(await ask(step)).toBe("passed");
    mesh.publish({ endpoints: [other.port] });
    expect(await askTimes(step, 5)).toEqual(["passed"]);
    expect([one.asked(), other.asked()]).toEqual([1, 5]);
  });

  test("of the mesh that nobody knows is not looked for elsewhere", async () => {
    const mesh = meshOf({ endpoints: [(await start()).port] });
    const step = mesh.step(protocol);
    expect(await ask(step)).toBe("passed");
    mesh.forget();
    expect(await ask(step)).toBe(`no service ${HOST} with port 9191 is known`);
  });

  test("behind an egress proxy is not asked: that would answer for others", async () => {
    const one = await start();
    const mesh = meshOf({ endpoints: [one.port], cluster: { viaEgressProxy: true } });
    expect(await ask(mesh.step(protocol))).toContain("behind an egress proxy");
    expect(one.asked()).toBe(0);
  });

  describe("that is called by TLS of its own", () => {
    const byTls = (endpoints: readonly number[], tls: JsonObject = {}): Mesh => {
      return meshOf({ endpoints, cluster: { tls: { caCertificates: rootsFile(), ...tls } } });
    };

    test("has to prove that it is the service", async () => {
      const right = await start({ host: HOST });
      expect(await askTimes(byTls([right.port]).step(protocol), 5)).toEqual(["passed"]);
      const other = await start({ host: "other.example" });
      const mesh = byTls([other.port]);
      expect(await ask(mesh.step(protocol))).toContain("certificate is of somebody else");
      const named = byTls([other.port], { subjectAltNames: ["other.example"] });
      expect(await ask(named.step(protocol))).toBe("passed");
      const strange = await start({ host: HOST, by: new CertificateAuthority("Strange root") });
      expect(await ask(byTls([strange.port]).step(protocol))).toContain("is not trusted");
      expect([right.asked(), other.asked(), strange.asked()]).toEqual([5, 1, 0]);
    });

    test("is not asked in plaintext", async () => {
      const plain = await start();
      const answer = await ask(byTls([plain.port]).step(protocol));
      expect(answer).toMatch(/^(the TLS handshake failed|no connection in time)/);
      expect(plain.asked()).toBe(0);
    });

    test("is found by its name, where the configuration has no more than that", async () => {
      const { port } = await start({ host: "localhost" });
      const mesh = new Mesh();
      mesh.publishOutside("localhost", port);
      expect(await ask(mesh.step(protocol, undefined, { service: "localhost", port }))).toBe(
        "passed",
      );
    });
  });

  describe("behind a sidecar that is STRICT", () => {
    /** The sidecar's port, and what it refused. */
    const behind = (authorizer: Authorizer) => {
      const mesh = new EngineFixture({ endpoints: [] });
      const guard = new Guard(member({ authority: root, account: "opa" }), "strict");
      const port = mesh.listenInbound(authorizer.port, speaks, { security: guard });
      closers.push(() => mesh.close());
      return { port, guard };
    };
    const own = () => member({ authority: root, account: "web" });

    test("is asked by mutual TLS", async () => {
      const authorizer = await start();
      const { port, guard } = behind(authorizer);
      const mesh = meshOf({ endpoints: [[port, idOf("opa")]] });
      expect(await askTimes(mesh.step(protocol, own()), 10)).toEqual(["passed"]);
      expect([authorizer.asked(), guard.refusals()]).toEqual([10, {}]);
    });

    test("is asked as the configuration has it now", async () => {
      const authorizer = await start();
      const { port } = behind(authorizer);
      const mesh = meshOf({ endpoints: [port] });
      const step = mesh.step(protocol, own());
      // In plaintext nobody is served.
      expect(await ask(step)).not.toBe("passed");
      mesh.publish({ endpoints: [[port, idOf("opa")]] });
      expect(await ask(step)).toBe("passed");
      mesh.publish({ endpoints: [[port, idOf("other")]] });
      expect(await ask(step)).toContain("certificate is of somebody else");
      expect(authorizer.asked()).toBe(1);
    });

    test("is not asked where it proves to be somebody else", async () => {
      const authorizer = await start();
      const { port } = behind(authorizer);
      const mesh = meshOf({ endpoints: [[port, idOf("other")]] });
      expect(await ask(mesh.step(protocol, own()))).toContain("certificate is of somebody else");
      expect(authorizer.asked()).toBe(0);
    });

    test("is asked elsewhere where one proves to be somebody else", async () => {
      const [wrong, right] = await Promise.all([start(), start()]);
      const mesh = meshOf({
        endpoints: [
          [behind(wrong).port, idOf("other")],
          [behind(right).port, idOf("opa")],
        ],
      });
      expect(await askTimes(mesh.step(protocol, own()), 10)).toEqual(["passed"]);
      expect([wrong.asked(), right.asked()]).toEqual([0, 10]);
    });

    test("is not asked by who has no certificate", async () => {
      const authorizer = await start();
      const { port } = behind(authorizer);
      const endpoints: Published["endpoints"] = [[port, idOf("opa")]];
      const mesh = meshOf({ endpoints, cluster: { requiresIdentity: true } });
      expect(await ask(mesh.step(protocol))).toContain("this proxy has no identity");
      mesh.publish({ endpoints: [port], cluster: { requiresIdentity: true } });
      expect(await ask(mesh.step(protocol, own()))).toBe(`nobody of ${HOST} could prove who it is`);
      expect(authorizer.asked()).toBe(0);
    });
  });
});

test("a connection to where it is no more ends with the question on it", async () => {
  const waiting: (() => void)[] = [];
  const script: FakeScript = (_, reply) => void waiting.push(() => reply.respond(200));
  const [one, other] = [new FakeUpstream({ script }), new FakeUpstream()];
  closers.push(
    () => one.close(),
    () => other.close(),
  );
  const mesh = meshOf({ endpoints: [one.port] });
  const step = mesh.step(HTTP);
  const asked = ask(step);
  await one.until(() => waiting.length === 1);
  mesh.publish({ endpoints: [other.port] });
  waiting[0]!();
  expect(await asked).toBe("passed");
  await one.until(() => one.openConnections === 0);
});
