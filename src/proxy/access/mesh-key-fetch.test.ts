/** Keys of tokens that a service of the mesh has, and those that it does not. */
import { afterEach, expect, test } from "bun:test";
import { systemClock } from "../../core/clock.ts";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { EngineFixture } from "../../testing/engine-fixture.ts";
import { KeyServer } from "../../testing/key-server.ts";
import { Guard, idOf, member } from "../../testing/mesh-member.ts";
import { published } from "../../testing/snapshot-sample.ts";
import type { MeshIdentity } from "../identity/mesh-identity.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { MeshKeyFetch } from "./mesh-key-fetch.ts";
import { ServiceClusters } from "./service-clusters.ts";

const HOST = "idp.default.svc.cluster.local";
const root = new CertificateAuthority();
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

interface Sample {
  readonly fetching: MeshKeyFetch;
  readonly server: KeyServer;
  /** Nothing is known of the service any more. */
  readonly forget: () => void;
}

/** A server of keys behind a sidecar that is STRICT, and 127.0.0.1 by every name. */
function setUp(discovery = "DISCOVERY_ENDPOINTS", own?: MeshIdentity): Sample {
  const server = new KeyServer({ answer: (path) => `keys at ${path}` });
  const mesh = new EngineFixture({ endpoints: [] });
  const guard = new Guard(member({ authority: root, account: "idp" }), "strict");
  const appPort = Number(new URL(server.origin).port);
  const port = mesh.listenInbound(appPort, "http", { security: guard });
  let snapshot: Snapshot = published(
    {
      clusters: [{ name: "idp", service: HOST, port: appPort, discovery }],
      endpointSets: [
        { cluster: "idp", endpoints: [{ address: "127.0.0.1", port, identity: idOf("idp") }] },
      ],
    },
    { clock: systemClock },
  );
  const fetching = new MeshKeyFetch(
    {
      ...{ clock: systemClock, bytesMax: 1_000, timeoutMs: 5_000 },
      roots: () => ({ trust: undefined }),
      lookUp: async () => ["127.0.0.1"],
    },
    {
      services: new ServiceClusters(() => snapshot),
      identity: own ?? member({ authority: root, account: "web" }),
    },
  );
  closers.push(
    () => server.close(),
    () => mesh.close(),
    () => fetching.abort(),
    () => snapshot.close(),
  );
  const forget = (): void => {
    snapshot = published({}, { clock: systemClock, former: snapshot });
  };
  return { fetching, server, forget };
}

async function get({ fetching, server }: Sample, host: string, path = "/keys"): Promise<string> {
  const { port } = new URL(server.origin);
  const got = await fetching.get(`http://${host}:${port}${path}`);
  return got.at === "done" ? Buffer.from(got.body).toString() : got.why;
}

test("a service of the mesh is asked by mutual TLS, by each of its longer names", async () => {
  const sample = setUp();
  for (const host of [HOST, "idp.default", "idp.default.svc", HOST.toUpperCase()])
    expect(await get(sample, host)).toBe("keys at /keys");
  expect(sample.server.asked).toHaveLength(4);
});

test("one that proves to be somebody else gives no keys", async () => {
  const stranger = member({ authority: new CertificateAuthority("Strange root") });
  const sample = setUp("DISCOVERY_ENDPOINTS", stranger);
  expect(await get(sample, HOST)).toContain("is not trusted");
  expect(sample.server.asked).toEqual([]);
});

test("one that is gone is not looked for elsewhere", async () => {
  const sample = setUp();
  expect(await get(sample, HOST)).toBe("keys at /keys");
  sample.forget();
  expect(await get(sample, HOST)).toContain(`no service ${HOST} with port`);
});

test.each(["DISCOVERY_DNS", "DISCOVERY_ORIGINAL"])("a host outside: %s", async (discovery) => {
  const sample = setUp(discovery);
  expect(await get(sample, HOST)).toBe("keys at /keys");
});

test("what no service is goes where its name leads", async () => {
  expect(await get(setUp(), "keys.example", "/a")).toBe("keys at /a");
});

test("whoever gives up is told so", async () => {
  const sample = setUp();
  sample.server.answer = () => new Promise<Response>(() => {});
  const got = get(sample, HOST);
  while (sample.server.asked.length === 0) await Bun.sleep(1);
  sample.fetching.abort();
  expect(await got).toBe("was given up");
});
