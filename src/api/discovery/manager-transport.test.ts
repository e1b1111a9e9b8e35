/** How a proxy finds out that who answers is the manager, before it says anything of its own. */
import { afterEach, describe, expect, test } from "bun:test";
import { createHash, X509Certificate } from "node:crypto";
import { ConnectError, createClient } from "@connectrpc/connect";
import { systemClock } from "../../core/clock.ts";
import {
  CertificateAuthority,
  type CertificateRequest,
  type Issued,
} from "../../testing/certificate-authority.ts";
import { credentialOf, MANAGER_NAMES, MANAGER_URI } from "../../testing/secure-api.ts";
import { IdentityService } from "../gen/mesh/v1/identity_pb.ts";
import type { Peer } from "../peer.ts";
import { NOBODY } from "../principal.ts";
import { serveSecureApi } from "../serve-secure.ts";
import { type ManagerCredential, managerTransport } from "./manager-transport.ts";
import { rootPinOf } from "./root-pin.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Told {
  readonly server: Awaited<ReturnType<typeof serveSecureApi>>;
  readonly url: string;
  readonly peers: Peer[];
  /** What was said by whom, besides asking for roots. */
  readonly csrs: string[];
}

/** Answers by a certificate of these names, with these roots in its bundle. */
async function open(
  authority: CertificateAuthority,
  { names = MANAGER_NAMES, roots = [authority], ...others }: Partial<Opening> = {},
): Promise<Told> {
  const peers: Peer[] = [];
  const csrs: string[] = [];
  const issued = authority.issue({ name: "m", for: names, ...others });
  const rootPems = roots.map(({ certificate }) => certificate);
  const server = await serveSecureApi({
    ...{ hostname: "127.0.0.1", port: 0, clock: systemClock },
    credential: credentialOf(issued, [authority]),
    identify: (peer) => {
      peers.push(peer);
      return NOBODY;
    },
    routes: (router) => {
      router.service(IdentityService, {
        getTrustBundle: () => ({ trustDomain: "cluster.local", rootPems }),
        issueCertificate({ csrPem }) {
          csrs.push(csrPem);
          return { chainPem: "chain" };
        },
      });
    },
    fetch: () => new Response("", { status: 404 }),
  });
  closing.push(() => server.close());
  return { server, url: `https://127.0.0.1:${server.port}`, peers, csrs };
}

interface Opening extends Omit<CertificateRequest, "name" | "for"> {
  readonly names: readonly string[];
  readonly roots: readonly CertificateAuthority[];
}

function client(url: string, credential?: Partial<ManagerCredential>) {
  const of = { certificate: () => undefined, roots: () => [], rootPin: () => "", ...credential };
  return createClient(IdentityService, managerTransport(url, credential && of));
}

/** "chain", or why not. */
async function ask(url: string, credential?: Partial<ManagerCredential>): Promise<string> {
  const { issueCertificate } = client(url, credential);
  try {
    return (await issueCertificate({ csrPem: "csr" })).chainPem;
  } catch (thrown) {
    return ConnectError.from(thrown).rawMessage;
  }
}

function pinOf({ certificate }: CertificateAuthority): string {
  return createHash("sha256").update(new X509Certificate(certificate).raw).digest("base64url");
}

const trusting = (...authorities: readonly CertificateAuthority[]) => ({
  roots: () => authorities.map(({ certificate }) => certificate),
});

describe("the manager is known", () => {
  test("by roots that are trusted already", async () => {
    const authority = new CertificateAuthority();
    const { url } = await open(authority);
    expect(await ask(url, trusting(authority))).toBe("chain");
    expect(await ask(url, trusting(new CertificateAuthority("Former"), authority))).toBe("chain");
  });

  test("by the root that the token names, the first time", async () => {
    const authority = new CertificateAuthority();
    const roots = [new CertificateAuthority("Former"), authority];
    const { url, peers } = await open(authority, { roots });
    expect(await ask(url, { rootPin: () => pinOf(authority) })).toBe("chain");
    expect(peers.length).toBe(2);
  });

  test("by no address: its certificate need not be for where it is reached", async () => {
    const authority = new CertificateAuthority();
    const { url } = await open(authority, { names: [MANAGER_URI] });
    const { issueCertificate } = client(url, trusting(authority));
    for (let i = 0; i < 3; i++)
      expect((await issueCertificate({ csrPem: "csr" })).chainPem).toBe("chain");
  });
});

describe("nothing is said", () => {
  const authority = new CertificateAuthority();
  const other = new CertificateAuthority();
  const id = (path: string): string => `URI:spiffe://cluster.local/${path}`;
  const cases: readonly (readonly [
    what: string,
    opening: Partial<Opening>,
    credential: Partial<ManagerCredential> | undefined,
    said: RegExp,
  ])[] = [
    ["without a word of whom to trust", {}, undefined, /how to know the manager/],
    ["without roots or a pin", {}, {}, /how to know the manager/],
    ["to another authority's", {}, trusting(other), /self.signed|unable to/i],
    ["to one of another pin", {}, { rootPin: () => pinOf(other) }, /not the root that the token/],
    [
      "to one who shows the pinned root and has not its key",
      { roots: [other] },
      { rootPin: () => pinOf(other) },
      /self.signed|unable to/i,
    ],
    ["to a workload", { names: [id("ns/default/sa/reviews")] }, trusting(authority), /no manager/],
    [
      "to a workload of its account's name",
      { names: [id("ns/default/sa/mesh-manager")] },
      trusting(authority),
      /no manager/,
    ],
    ["to a host's name only", { names: ["IP:127.0.0.1"] }, trusting(authority), /nobody of a mesh/],
    ["to two names", { names: [MANAGER_URI, id("ns/a/sa/b")] }, trusting(authority), /no manager/],
    ["to a name with NUL", { names: [`${MANAGER_URI}\0.evil`] }, trusting(authority), /no manager/],
    [
      "to another domain's manager",
      {},
      { ...trusting(authority), trustDomain: () => "other.local" },
      /manager of cluster.local, not of other.local/,
    ],
    ["to an expired one", { untilMs: Date.now() - 1_000 }, trusting(authority), /expired/i],
    ["to one not yet valid", { fromMs: Date.now() + 3_600_000 }, trusting(authority), /not yet/i],
  ];

  test.each(cases)("%s", async (_, opening, credential, said) => {
    const { url, csrs } = await open(authority, opening);
    expect(await ask(url, credential)).toMatch(said);
    expect(csrs).toEqual([]);
  });
});

test("a renewed certificate and a new root count from the next call on", async () => {
  const authority = new CertificateAuthority();
  const { url, peers } = await open(authority);
  const issue = (): Issued => authority.issue({ name: "w", for: ["URI:spiffe://a/ns/b/sa/c"] });
  let shown: Issued | undefined;
  let roots = [authority.certificate];
  const { issueCertificate } = client(url, {
    certificate: () => shown && { chainPem: shown.chain, keyPem: shown.key },
    roots: () => roots,
  });
  const call = async (): Promise<string> => {
    await issueCertificate({ csrPem: "csr" });
    const peer = peers.at(-1);
    return (peer?.at === "tls" && peer.certificate?.serial) || "none";
  };
  expect([await call(), await call()]).toEqual(["none", "none"]);
  shown = issue();
  const first = await call();
  expect([first, await call()]).toEqual([new X509Certificate(shown.chain).serialNumber, first]);
  shown = issue();
  expect(await call()).not.toBe(first);
  roots = [new CertificateAuthority().certificate];
  expect(await call().catch(() => "refused")).toBe("refused");
});

describe("a manager whose authority is another one", () => {
  const former = new CertificateAuthority("Former");
  const next = new CertificateAuthority("Next");

  test("is known by a new token, from the next call on", async () => {
    const { url } = await open(next);
    let pin = pinOf(former);
    const { issueCertificate } = client(url, { ...trusting(former), rootPin: () => pin });
    const call = (): Promise<string> =>
      issueCertificate({ csrPem: "csr" }).then(
        ({ chainPem }) => chainPem,
        (thrown: unknown) => ConnectError.from(thrown).rawMessage,
      );
    for (let i = 0; i < 3; i++) expect(await call()).toMatch(/its authority was lost; a new join/);
    pin = pinOf(next);
    expect([await call(), await call()]).toEqual(["chain", "chain"]);
  });

  test("is known at the start by the token alone, whatever was known before", async () => {
    const { url } = await open(next);
    const { issueCertificate } = client(url, { ...trusting(former), rootPin: () => pinOf(next) });
    const call = issueCertificate({ csrPem: "csr" });
    expect(await call.then(() => "", String)).toMatch(/its authority was lost/);
    expect((await issueCertificate({ csrPem: "csr" })).chainPem).toBe("chain");
  });

  test("does not come back by a token that was of use before", async () => {
    const found = await open(former);
    let roots = [former.certificate];
    const { issueCertificate } = client(found.url, {
      ...{ roots: () => roots, rootPin: () => pinOf(former) },
    });
    await issueCertificate({ csrPem: "csr" });
    // The mesh has given the former root up, and somebody has its key.
    roots = [next.certificate];
    for (let i = 0; i < 3; i++)
      expect(await issueCertificate({ csrPem: "csr" }).then(() => "", String)).toMatch(/lost/);
    expect(found.csrs).toHaveLength(1);
  });

  test("a token that cannot be read is none", async () => {
    const { url } = await open(next);
    const rootPin = (): string => {
      throw new Error("ENOENT");
    };
    expect(await ask(url, { ...trusting(next), rootPin })).toBe("chain");
    expect(await ask(url, { ...trusting(former), rootPin })).toMatch(/authority was lost/);
  });
});

test("once it is known, its connection is kept", async () => {
  const authority = new CertificateAuthority();
  const { url, peers } = await open(authority);
  const { issueCertificate } = client(url, trusting(authority));
  for (let i = 0; i < 10; i++) await issueCertificate({ csrPem: "csr" });
  expect(new Set(peers.map(({ address }) => address)).size).toBeLessThanOrEqual(2);
});

test("a token names its root in its last part", () => {
  const pin = "A".repeat(43);
  const pins = [`mesh1.id.secret.${pin}`, `mesh1.id.secret.${pin}\n`, "mesh1.id.secret", ""];
  expect(pins.map(rootPinOf)).toEqual([pin, pin, "", ""]);
  expect(rootPinOf(`mesh1.id.secret.${pin}=`)).toBe("");
});
