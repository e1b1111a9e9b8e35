/**
 * What workloads may ask for by their certificates, over TLS, as honest ones and others do; and
 * when that ends.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Node_Mode, type NodeSchema } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { WorkloadMode } from "../../api/gen/mesh/v1/identity_pb.ts";
import { createCertificateRequest } from "../../io/certificate-request.ts";
import {
  type Callers,
  type IdentityManager,
  openIdentityManager,
  outcome,
  type Shown,
} from "../../testing/identity-manager.ts";
import { HOUR_MS, type IdentityParts } from "../../testing/identity-set-up.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { issueCertificate, publicKeyOf } from "../identity/certificate-issue.ts";
import { signerOf } from "../identity/signer.ts";

const directory = mkdtempSync(joinPath(tmpdir(), "mesh-own-certificate-"));
const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => rmSync(directory, { recursive: true }));

async function open(parts: IdentityParts = {}): Promise<IdentityManager> {
  const one = await openIdentityManager(parts);
  closing.push(() => one.stop());
  return one;
}

type TokenWish = Parameters<IdentityManager["local"]["admin"]["createJoinToken"]>[0];

async function newToken({ local }: IdentityManager, wish: TokenWish = {}) {
  const asked = { service: "reviews.default", ...wish };
  const { token, joinToken } = await local.admin.createJoinToken(asked);
  return { token, id: joinToken!.id };
}

/** With its first certificate, by a token. */
async function join(one: IdentityManager, token: string, mode?: WorkloadMode) {
  const credential = { case: "joinToken", value: token } as const;
  return await ask(one, { joinToken: token }, { credential, ...(mode && { mode }) });
}

type Asked = Parameters<Callers["identity"]["issueCertificate"]>[0];

async function ask(one: IdentityManager, shown: Shown, asked: Asked = {}) {
  const { csrPem, keyPem } = await createCertificateRequest("");
  const { chainPem } = await one.remote(shown).identity.issueCertificate({ csrPem, ...asked });
  return { chainPem, keyPem };
}

type NodeWish = Omit<MessageInitShape<typeof NodeSchema>, "$typeName" | "$unknown">;

const proxy = (node: Partial<NodeWish> = {}) => ({
  ...{ id: "reviews-1.default", service: "reviews.default", namespace: "default", ...node },
});
const workload = (wish: object = {}) => ({
  workload: {
    ...{ id: "reviews-1.default", service: "reviews.default", namespace: "default" },
    ...{ address: "127.0.0.1", port: 9080, protocol: "http", healthy: true, ...wish },
  },
});

/** Follows, until the test is over; the first answer is there. */
async function follow({ discovery }: Callers, node: Partial<NodeWish> = {}) {
  const ended = new AbortController();
  closing.push(() => ended.abort());
  const stream = discovery.watch({ node: proxy(node) }, { signal: ended.signal, timeoutMs: 0 });
  const updates = stream[Symbol.asyncIterator]();
  await updates.next();
  return updates;
}

const watch = async (callers: Callers, node: Partial<NodeWish> = {}): Promise<string> =>
  await outcome(follow(callers, node));

/** Of calls that were refused, newest first. */
const refusals = ({ calls }: IdentityManager): readonly string[] =>
  calls
    .list(9)
    .filter(({ allowed }) => !allowed)
    .map(({ who, object, detail }) => `${who.split("/").at(-1)}, ${object}: ${detail}`);

const GATEWAY = { mode: Node_Mode.GATEWAY };

describe("a workload with a token of a sidecar", () => {
  test("gets no gateway's configuration, and the refusal is kept and counted", async () => {
    const one = await open();
    const reviews = one.remote(await join(one, (await newToken(one)).token));
    expect(await watch(reviews, { mode: Node_Mode.SIDECAR })).toBe("ok");
    expect(one.calls.counts.refusals).toBe(0);
    const said = await watch(reviews, { ...GATEWAY, id: "reviews-9.default" });
    expect(said).toStartWith(
      "PermissionDenied: spiffe://cluster.local/ns/default/sa/reviews is no gateway: a gateway " +
        "joins by a token of `mesh ctl token create --mode gateway`",
    );
    expect(await watch(reviews, { ...GATEWAY, service: "" })).toStartWith("PermissionDenied");
    const node = proxy(GATEWAY);
    expect(await outcome(reviews.registry.register(workload({ node })))).toStartWith(
      "PermissionDenied: spiffe://cluster.local/ns/default/sa/reviews is no gateway",
    );
    expect(one.calls.counts.refusals).toBe(3);
    expect(refusals(one).at(-1)).toStartWith("reviews, proxy reviews-9.default: spiffe://");
    expect(one.manager.discovery.nodesOf("reviews-9.default")).toEqual([]);
  });

  test("gets no certificate of one, and keeps the token", async () => {
    const one = await open();
    const { token } = await newToken(one);
    expect(await outcome(join(one, token, WorkloadMode.GATEWAY))).toStartWith(
      "PermissionDenied: the credential is of spiffe://cluster.local/ns/default/sa/reviews, and " +
        "no gateway's",
    );
    expect(one.audit.at(-1)).toMatchObject({ action: "certificate refused", allowed: false });
    expect(one.identity.issuance.counts.denied).toBe(1);
    const shown = await join(one, token, WorkloadMode.SIDECAR);
    const renewal = ask(one, shown, { mode: WorkloadMode.GATEWAY });
    expect(await outcome(renewal)).toStartWith("PermissionDenied: the credential is of");
    expect(await watch(one.remote(await ask(one, shown)), GATEWAY)).toStartWith("PermissionDenied");
  });

  test("gets no other service's configuration, nor a place in it", async () => {
    const one = await open();
    const reviews = one.remote(await join(one, (await newToken(one)).token));
    for (const service of ["ratings.default", "reviews.other", "ratings"]) {
      expect(await watch(reviews, { service })).toStartWith("PermissionDenied: ns/default/sa/rev");
      const asked = workload({ service });
      expect(await outcome(reviews.registry.register(asked))).toStartWith("PermissionDenied");
    }
    const mixer = await watch(reviews, { mode: Node_Mode.MIXER });
    expect(mixer).toContain("is no mixer: ns/mesh-system/sa/mesh-mixer is");
    expect(one.calls.counts.refusals).toBe(7);
  });
});

describe("a workload with a token of a gateway", () => {
  test("is one, and so it is with every certificate that it comes to by the former", async () => {
    const one = await open();
    const { token } = await newToken(one, { mode: WorkloadMode.GATEWAY });
    let shown = await join(one, token);
    for (let i = 0; i < 3; i++) {
      expect(await watch(one.remote(shown), GATEWAY)).toBe("ok");
      shown = await ask(one, shown, { mode: WorkloadMode.GATEWAY });
    }
    expect(await watch(one.remote(shown), { mode: Node_Mode.SIDECAR })).toBe("ok");
    const other = await watch(one.remote(shown), { ...GATEWAY, service: "ratings.default" });
    expect(other).toStartWith("PermissionDenied");
    const elsewhere = await watch(one.remote(shown), { ...GATEWAY, service: "", namespace: "x" });
    expect(elsewhere).toContain("is not of namespace x");
  });

  test("is a sidecar from when it asks to be one", async () => {
    const one = await open();
    const { token } = await newToken(one, { mode: WorkloadMode.GATEWAY });
    const shown = await join(one, token, WorkloadMode.SIDECAR);
    expect(await watch(one.remote(shown), GATEWAY)).toStartWith("PermissionDenied");
    const again = await ask(one, shown);
    expect(await watch(one.remote(again), GATEWAY)).toStartWith("PermissionDenied");
    const renewal = ask(one, shown, { mode: WorkloadMode.GATEWAY });
    expect(await outcome(renewal)).toStartWith("PermissionDenied");
  });

  test("of one account is no reason for another account", async () => {
    const one = await open({ gatewayAccounts: ["default/edge"] });
    const edge = await join(one, (await newToken(one, { service: "edge" })).token);
    expect(
      await watch(one.remote(edge), { ...GATEWAY, service: "edge.default", id: "edge.default" }),
    ).toBe("ok");
    const asked = ask(one, edge, { mode: WorkloadMode.GATEWAY });
    expect(await outcome(asked)).toBe("ok");
    const reviews = await join(one, (await newToken(one)).token);
    expect(await watch(one.remote(reviews), GATEWAY)).toStartWith("PermissionDenied");
  });
});

test("this machine's own proxies may be whatever they say", async () => {
  const one = await open();
  expect(await watch(one.local, { ...GATEWAY, labels: { version: "v9" } })).toBe("ok");
  const { csrPem } = await createCertificateRequest("");
  const asked = { csrPem, service: "edge.default", mode: WorkloadMode.GATEWAY };
  expect(await outcome(one.local.identity.issueCertificate(asked))).toBe("ok");
});

describe("labels of a token", () => {
  const v1 = { app: "reviews", version: "v1" };

  test("are the workload's, said or not; others are refused, also after a renewal", async () => {
    const one = await open();
    let shown = await join(one, (await newToken(one, { labels: v1 })).token);
    for (let i = 0; i < 2; i++) {
      const reviews = one.remote(shown);
      expect(await watch(reviews)).toBe("ok");
      expect(await watch(reviews, { id: "reviews-2.default", labels: v1 })).toBe("ok");
      for (const id of ["reviews-1.default", "reviews-2.default"])
        expect(one.manager.discovery.nodesOf(id)[0]?.labels).toEqual(v1);
      const refused =
        "PermissionDenied: spiffe://cluster.local/ns/default/sa/reviews joined as app=reviews, " +
        "version=v1, and not as version=v2";
      const v2 = { ...v1, version: "v2" };
      expect(await watch(reviews, { labels: v2 })).toBe(refused);
      expect(await outcome(reviews.registry.register(workload({ labels: v2 })))).toBe(refused);
      const node = proxy({ labels: v2 });
      expect(await outcome(reviews.registry.register(workload({ node })))).toBe(refused);
      expect(await outcome(reviews.registry.register(workload()))).toBe("ok");
      expect(one.manager.local.workloadOf("reviews-1.default")?.labels).toEqual(v1);
      shown = await ask(one, shown);
    }
    expect(refusals(one)[0]).toStartWith("reviews, workload reviews-1.default: spiffe://");
  });

  test("are free where it has none", async () => {
    const one = await open();
    const reviews = one.remote(await join(one, (await newToken(one)).token));
    expect(await outcome(reviews.registry.register(workload({ labels: v1 })))).toBe("ok");
    expect(one.manager.local.workloadOf("reviews-1.default")?.labels).toEqual(v1);
  });

  test("a proxy with other ones takes over from its predecessor all the same", async () => {
    const one = await open();
    const former = one.remote(await join(one, (await newToken(one, { labels: v1 })).token));
    expect(await watch(former)).toBe("ok");
    expect(await outcome(former.registry.register(workload()))).toBe("ok");
    const v2 = { labels: { app: "reviews", version: "v2" } };
    const next = one.remote(await join(one, (await newToken(one, v2)).token));
    expect(await watch(next)).toBe("ok");
    expect(await outcome(next.registry.register(workload()))).toBe("ok");
    expect(one.manager.local.workloadOf("reviews-1.default")?.labels).toEqual(v2.labels);
  });

  test.each([
    { "": "v1" },
    { version: "a b" },
    { "<b>": "" },
    { version: "x".repeat(254) },
    Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, ""])),
    Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`k${i}`, "x".repeat(200)])),
  ])("that no workload could have are refused: %#", async (wrong) => {
    const { local } = await open();
    const made = local.admin.createJoinToken({ service: "reviews", labels: { ...wrong } });
    expect(await outcome(made)).toStartWith("InvalidArgument: labels: ");
  });
});

describe("a revoked token", () => {
  /** A workload that follows and is registered, and its neighbour, who came by another one. */
  async function member(one: IdentityManager) {
    const { token, id } = await newToken(one);
    // Certificates later it still goes back to it.
    const shown = await ask(one, await ask(one, await join(one, token)));
    const reviews = one.remote(shown);
    const updates = await follow(reviews);
    const lease = await reviews.registry.register(workload());
    const wish = { service: "ratings.default" };
    const ratings = one.remote(await join(one, (await newToken(one, wish)).token));
    await follow(ratings, { ...wish, id: "ratings-1.default" });
    await ratings.registry.register(workload({ ...wish, id: "ratings-1.default", port: 9081 }));
    return { id, shown, reviews, updates, lease };
  }

  /** Nothing of it is left, and of its neighbour everything. */
  async function expectEnd(one: IdentityManager, gone: Awaited<ReturnType<typeof member>>) {
    const refused = `PermissionDenied: join token ${gone.id}, by which it came, was revoked`;
    expect(await outcome(rest(gone.updates))).toBe(refused);
    const { discovery, local } = one.manager;
    expect(discovery.isConnected("reviews-1.default")).toBe(false);
    expect(local.workloadOf("reviews-1.default")).toBeUndefined();
    expect(await watch(gone.reviews)).toBe(refused);
    const { registry } = gone.reviews;
    expect(await outcome(registry.register(workload()))).toBe(refused);
    const renewal = registry.renew({ leaseId: gone.lease.id, healthy: true });
    expect(await outcome(renewal)).toBe(refused);
    expect(await outcome(ask(one, gone.shown))).toBe(refused);
    expect(discovery.isConnected("ratings-1.default")).toBe(true);
    expect(local.workloadOf("ratings-1.default")).toBeDefined();
    expect(one.calls.counts.refusals).toBe(4);
    expect(refusals(one).at(-1)).toBe(
      `reviews, proxy reviews-1.default: join token ${gone.id}, by which it came, was revoked`,
    );
  }

  test("ends what runs of whoever began with it, and nothing else", async () => {
    const one = await open();
    const gone = await member(one);
    await one.local.admin.revokeJoinToken({ id: gone.id });
    await expectEnd(one, gone);
    // A new one lets it in again, whatever it shows beside.
    const { token } = await newToken(one);
    const credential = { case: "joinToken", value: token } as const;
    const again = one.remote(await ask(one, gone.shown, { credential }));
    expect(await watch(again)).toBe("ok");
    expect(await outcome(again.registry.register(workload()))).toBe("ok");
  });

  test("at one manager ends it at those that share the authority", async () => {
    const path = joinPath(directory, "identity.db");
    const one = await open({ path });
    const other = await open({ path, seal: one.seal, clock: one.clock });
    const gone = await member(one);
    await other.local.admin.revokeJoinToken({ id: gone.id });
    expect(one.manager.discovery.isConnected("reviews-1.default")).toBe(true);
    one.clock.advance(1_000);
    await expectEnd(one, gone);
  });
});

test("a root that is trusted no more ends what runs by its certificates", async () => {
  const clock = new VirtualClock(Date.now());
  const one = await open({ clock, leafLifetimeMs: HOUR_MS });
  const updates = await follow(one.remote(forged(one)));
  one.identity.authority.rotate(1_000);
  clock.advance(HOUR_MS / 2);
  expect(one.manager.discovery.isConnected("reviews-1.default")).toBe(true);
  clock.advance(2.5 * HOUR_MS);
  const why = "the certificate's root is trusted no more";
  expect(await outcome(rest(updates))).toBe(`PermissionDenied: ${why}`);
  expect(one.manager.discovery.isConnected("reviews-1.default")).toBe(false);
  expect(refusals(one)).toEqual([`reviews, proxy reviews-1.default: ${why}`]);
});

/** Until the end, whatever comes before. */
async function rest(updates: Awaited<ReturnType<typeof follow>>): Promise<void> {
  while (!(await updates.next()).done);
}

/** A certificate for two days, by whoever got hold of the key that signs now. */
function forged({ identity, seal, clock }: IdentityManager): Shown {
  const signer = signerOf(identity.authority.rows[0]!, seal, undefined);
  if (typeof signer === "string") throw new Error(signer);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const notBeforeMs = clock.wallMs() - 1_000;
  const times = { notBeforeMs, notAfterMs: notBeforeMs + 48 * HOUR_MS };
  const value = "spiffe://cluster.local/ns/default/sa/reviews";
  const template = {
    ...{ ...times, names: [{ kind: "uri", value }] as const },
    publicKey: publicKeyOf(privateKey),
  };
  const keyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { chainPem: issueCertificate(template, signer.issuer).pem, keyPem };
}
