/** A workload gets its certificate, keeps it in force, and goes on without its manager. */
import { afterEach, expect, test } from "bun:test";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import {
  IdentityService,
  type IssueCertificateRequest,
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
  const root = new CertificateAuthority();
  const asked: IssueCertificateRequest[] = [];
  const used: WorkloadKeyPair[] = [];
  const lines: string[] = [];
  const state = { fault: undefined as Code | undefined };
  const issue = (name: string): WorkloadKeyPair => {
    const now = clock.wallMs();
    const times = { fromMs: now - 1_000, untilMs: now - 1_000 + 24 * HOUR_MS };
    const { chain, key } = root.issue({ name, for: [`URI:${idOf("web")}`], ...times });
    return { chainPem: chain, keyPem: key };
  };
  const transport = createRouterTransport(({ service }) => {
    service(IdentityService, {
      issueCertificate: (request) => {
        asked.push(request);
        if (state.fault !== undefined) throw new ConnectError("no", state.fault);
        const times = { fromMs: clock.wallMs() - 1_000, untilMs: clock.wallMs() + 24 * HOUR_MS };
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
    former: undefined,
    use: (pair) => void used.push(pair),
    ...options,
  });
  closers.push(() => credential.close());
  return { clock, asked, used, lines, state, credential, issue };
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
