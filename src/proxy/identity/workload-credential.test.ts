/** A workload gets its certificate, keeps it in force, and goes on without its manager. */
import { afterEach, describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import {
  IdentityService,
  type IssueCertificateRequest,
  type TrustBundle,
  TrustBundleSchema,
} from "../../api/gen/mesh/v1/identity_pb.ts";
import { Log } from "../../core/log.ts";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { idOf } from "../../testing/mesh-member.ts";
import { signFor } from "../../testing/sign-request.ts";
import { until } from "../../testing/tls-echo.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { WorkloadKeyPair } from "./mesh-identity.ts";
import { WorkloadCredential, type WorkloadCredentialParts } from "./workload-credential.ts";

const HOUR_MS = 3_600_000;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A manager of which the test says what it answers; certificates are of a day. */
function manager(options: Partial<WorkloadCredentialParts> = {}) {
  const clock = new VirtualClock(Date.now());
  const asked: IssueCertificateRequest[] = [];
  const used: WorkloadKeyPair[] = [];
  const lines: string[] = [];
  const state = { fault: undefined as Code | undefined, root: new CertificateAuthority() };
  const issue = (name: string): WorkloadKeyPair => {
    const now = clock.wallMs();
    const times = { fromMs: now - 1_000, untilMs: now - 1_000 + 24 * HOUR_MS };
    const { chain, key } = state.root.issue({ name, for: [`URI:${idOf("web")}`], ...times });
    return { chainPem: chain, keyPem: key };
  };
  const transport = createRouterTransport(({ service }) => {
    service(IdentityService, {
      issueCertificate: (request) => {
        asked.push(request);
        if (state.fault !== undefined) throw new ConnectError("no", state.fault);
        const times = { fromMs: clock.wallMs() - 1_000, untilMs: clock.wallMs() + 24 * HOUR_MS };
        const { root } = state;
        const chainPem = signFor(root, request.csrPem, { for: [`URI:${idOf("web")}`], ...times });
        return { chainPem, trust: { trustDomain: "cluster.local", rootPems: [root.certificate] } };
      },
    });
  });
  const credential = new WorkloadCredential({
    transport,
    clock,
    random: () => 0.5,
    log: new Log("agent", { level: "debug" }, (line) => void lines.push(line)),
    service: "web.default",
    serviceAccount: "",
    lifetimeSeconds: 0,
    proof: () => ({ case: "joinToken", value: "mesh1.x" }),
    remedy: "another token",
    former: undefined,
    use: (pair) => void used.push(pair),
    ...options,
  });
  closers.push(() => credential.close());
  return { clock, asked, used, lines, state, credential, issue };
}

function bundle(...authorities: readonly CertificateAuthority[]): TrustBundle {
  const rootPems = authorities.map(({ certificate }) => certificate);
  return create(TrustBundleSchema, { trustDomain: "cluster.local", rootPems });
}

/** Until what is asked has been answered; keys are made in another thread. */
async function answered({ credential }: { readonly credential: WorkloadCredential }) {
  await until(() => credential.status().renewsAtMs !== undefined, "the answer");
}

test("it proves itself by its token, then by its certificate; keys differ each time", async () => {
  const { credential, clock, asked, used, lines } = manager();
  credential.start();
  await credential.settled;
  expect(used).toHaveLength(1);
  expect(asked[0]).toMatchObject({
    service: "web.default",
    credential: { case: "joinToken", value: "mesh1.x" },
  });
  expect(credential.status().certificate?.uris).toEqual([idOf("web")]);
  expect(credential.trust?.rootPems).toHaveLength(1);
  expect(lines[0]).toContain("this workload has an identity");
  clock.advance(11 * HOUR_MS);
  await answered({ credential });
  expect(used).toHaveLength(1);
  clock.advance(1.1 * HOUR_MS);
  await answered({ credential });
  expect(used).toHaveLength(2);
  expect(asked[1]?.credential.case).toBeUndefined();
  expect(used[1]!.keyPem).not.toBe(used[0]!.keyPem);
  expect(credential.status()).toMatchObject({ renewals: 1, failures: 0, fault: "" });
});

test("the time of renewal is half of its life, give or take a twentieth", async () => {
  for (const [random, hours] of [
    [0, 24 * 0.45],
    [0.999_999, 24 * 0.55],
  ] as const) {
    const { credential, clock } = manager({ random: () => random });
    credential.start();
    await credential.settled;
    const waitMs = credential.status().renewsAtMs! - clock.wallMs();
    expect(Math.abs(waitMs / HOUR_MS - hours)).toBeLessThan(0.01);
  }
});

test("without a manager it goes on with what it has, louder as the end comes nearer", async () => {
  const { credential, clock, state, lines, used } = manager();
  credential.start();
  await credential.settled;
  state.fault = Code.Unavailable;
  lines.length = 0;
  const said: string[] = [];
  for (let hour = 0; hour < 26; hour++) {
    clock.advance(HOUR_MS);
    await answered({ credential });
    for (const line of lines.splice(0))
      if (!line.includes(" debug ")) said.push(line.split(" agent ")[1]!.split(" reason=")[0]!);
  }
  expect(said).toEqual([
    "the certificate is not renewed; asking on",
    "the certificate expires soon, and is not renewed",
    "the certificate expires soon, and is not renewed",
    "the certificate has expired, and is not renewed",
  ]);
  expect(used).toHaveLength(1);
  expect(credential.status().failures).toBeGreaterThan(3);
  state.fault = undefined;
  clock.advance(60_000);
  await answered({ credential });
  expect(used).toHaveLength(2);
});

test("a certificate that is not believed any more: the token is tried again, in turn", async () => {
  const { credential, clock, state, asked } = manager();
  credential.start();
  await credential.settled;
  state.fault = Code.Unauthenticated;
  asked.length = 0;
  clock.advance(12.1 * HOUR_MS);
  for (let i = 0; i < 3; i++) {
    await answered({ credential });
    clock.advance(60_000);
  }
  await answered({ credential });
  expect(asked.slice(0, 3).map(({ credential: { case: kind } }) => kind ?? "certificate")).toEqual([
    "certificate",
    "joinToken",
    "certificate",
  ]);
});

test("what a predecessor had is used at once, and nobody is asked before its time", async () => {
  const first = manager();
  const former = first.issue("former");
  const { credential, asked, used, clock } = manager({ former });
  credential.start();
  await credential.settled;
  expect([used, asked]).toEqual([[former], []]);
  clock.advance(13 * HOUR_MS);
  await answered({ credential });
  expect(used).toHaveLength(2);
});

test("an account that was asked for is in the request", async () => {
  const { credential, asked } = manager({ serviceAccount: "default/billing" });
  credential.start();
  await credential.settled;
  expect(asked[0]?.serviceAccount).toBe("default/billing");
});

test("a first question that fails settles it as well, and it asks on", async () => {
  const { credential, state, used, clock, lines } = manager();
  state.fault = Code.Unimplemented;
  credential.start();
  await credential.settled;
  expect(lines[0]).toContain("no identity yet");
  state.fault = undefined;
  clock.advance(10_000);
  await answered({ credential });
  expect(used).toHaveLength(1);
});

test("closed, it leaves nothing running", async () => {
  const { credential, clock } = manager();
  credential.start();
  await credential.settled;
  credential.close();
  expect(clock.waiting).toBe(0);
});

describe("where none of the mesh's roots stands behind the certificate any more", () => {
  const kindsOf = (asked: readonly IssueCertificateRequest[]): string[] =>
    asked.map(({ credential }) => credential.case ?? "certificate");

  test("another one is asked for at once, by what it was started with", async () => {
    const { credential, asked, used, lines, state, clock } = manager();
    credential.start();
    await credential.settled;
    const former = state.root;
    credential.follow(bundle(former));
    credential.follow(bundle(former, new CertificateAuthority("Next")));
    expect(asked).toHaveLength(1);
    state.root = new CertificateAuthority();
    lines.length = 0;
    credential.follow(bundle(state.root));
    expect(credential.status()).toMatchObject({ trusted: false, renewsAtMs: undefined });
    await answered({ credential });
    expect(kindsOf(asked)).toEqual(["joinToken", "joinToken"]);
    expect(used).toHaveLength(2);
    expect(credential.status()).toMatchObject({ trusted: true, renewals: 1, fault: "" });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /another certificate is needed; asking for it reason="none of the mesh's roots stands/,
    );
    credential.follow(bundle(state.root));
    clock.advance(11 * HOUR_MS);
    expect(asked).toHaveLength(2);
  });

  test("a refusal says what a person can do; it asks on, rarely", async () => {
    const { credential, asked, state, lines, clock } = manager();
    credential.start();
    await credential.settled;
    state.root = new CertificateAuthority();
    state.fault = Code.Unauthenticated;
    lines.length = 0;
    credential.follow(bundle(state.root));
    const waits: number[] = [];
    for (let i = 0; i < 12; i++) {
      await answered({ credential });
      waits.push(credential.status().renewsAtMs! - clock.wallMs());
      clock.advance(waits.at(-1)! + 1);
    }
    await answered({ credential });
    expect(waits.slice(0, 4)).toEqual([3_750, 7_500, 15_000, 30_000]);
    expect(Math.max(...waits)).toBeLessThanOrEqual(60_000);
    expect(new Set(kindsOf(asked.slice(1)))).toEqual(new Set(["joinToken"]));
    const said = lines.filter((line) => line.includes("others of the mesh refuse"));
    expect(said).toHaveLength(2);
    expect(said[0]).toContain('remedy="another token"');
    state.fault = undefined;
    clock.advance(60_001);
    await answered({ credential });
    expect(credential.status()).toMatchObject({ trusted: true, fault: "" });
  });

  test("and it is a former root's, restored: it is good again, and asks no more", async () => {
    const { credential, asked, state, clock } = manager();
    credential.start();
    await credential.settled;
    const former = state.root;
    state.fault = Code.Unauthenticated;
    credential.follow(bundle(new CertificateAuthority()));
    await answered({ credential });
    credential.follow(bundle(former));
    expect(credential.status().trusted).toBe(true);
    clock.advance(HOUR_MS);
    expect(asked).toHaveLength(2);
    expect(credential.status().renewsAtMs! - clock.wallMs()).toBeGreaterThan(10 * HOUR_MS);
  });

  test("one of an earlier run is replaced when the roots are known", async () => {
    const former = manager().issue("former");
    const { credential, asked, used, state } = manager({ former });
    credential.follow(bundle(state.root));
    credential.start();
    await credential.settled;
    await answered({ credential });
    expect(used).toHaveLength(2);
    expect(kindsOf(asked)).toEqual(["joinToken"]);
  });

  test("an answer that is older than the news does not hide it", async () => {
    const { credential, state, asked, clock } = manager();
    credential.start();
    await credential.settled;
    const stale = state.root;
    const next = new CertificateAuthority();
    state.root = new CertificateAuthority();
    credential.follow(bundle(state.root));
    // The question is under way.
    credential.follow(bundle(next));
    await answered({ credential });
    expect(credential.status().trusted).toBe(false);
    expect(stale).not.toBe(state.root);
    state.root = next;
    clock.advance(60_000);
    await answered({ credential });
    expect(credential.status().trusted).toBe(true);
    expect(asked).toHaveLength(3);
  });

  test("a manager whose roots change all the time is not asked all the time", async () => {
    const { credential, state, asked, clock } = manager();
    credential.start();
    await credential.settled;
    for (let second = 0; second < 120; second++) {
      credential.follow(bundle(new CertificateAuthority()));
      state.root = new CertificateAuthority();
      clock.advance(1_000);
      await answered({ credential });
    }
    expect(asked.length).toBeGreaterThan(3);
    expect(asked.length).toBeLessThan(20);
  });
});

describe("where the manager does not know who calls by the certificate", () => {
  test("another one is asked for at once, and the next time after a while", async () => {
    const { credential, asked, lines, clock } = manager();
    credential.doubt();
    credential.start();
    await credential.settled;
    lines.length = 0;
    credential.doubt();
    credential.doubt();
    await answered({ credential });
    expect(asked.map(({ credential: { case: kind } }) => kind)).toEqual(["joinToken", "joinToken"]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("the manager does not believe the certificate");
    credential.doubt();
    expect(asked).toHaveLength(2);
    expect(credential.status().renewsAtMs! - clock.wallMs()).toBeGreaterThan(5_000);
    clock.advance(60_000);
    await answered({ credential });
    expect(asked).toHaveLength(3);
  });

  test("it is tried by turns, since the manager may be wrong for a while", async () => {
    const { credential, asked, state, clock, lines } = manager();
    credential.start();
    await credential.settled;
    state.fault = Code.Unauthenticated;
    asked.length = 0;
    lines.length = 0;
    credential.doubt();
    for (let i = 0; i < 3; i++) {
      await answered({ credential });
      clock.advance(60_000);
    }
    await answered({ credential });
    const kinds: string[] = asked.map(({ credential: { case: kind } }) => kind ?? "certificate");
    expect(kinds).toEqual(["joinToken", "certificate", "joinToken", "certificate"]);
    expect(lines.filter((line) => line.includes("the manager refuses the cert"))).toHaveLength(1);
  });
});
