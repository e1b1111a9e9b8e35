/** Whom a cluster's connections expect, and with which files. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { isExpected } from "../../io/peer-identity.ts";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { SessionPools } from "./session-pool.ts";
import { UpstreamCredentials } from "./upstream-credentials.ts";
import { UpstreamTls, type UpstreamTlsSettings } from "./upstream-tls.ts";

const root = new CertificateAuthority();
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

const none = { caCertificates: "", clientCertificate: "", privateKey: "" };
const plain: UpstreamTlsSettings = {
  ...{ ...none, sni: "", subjectAltNames: [], insecureSkipVerify: false },
  ...{ host: "api.example", protocols: [] },
};
const nobody = { roots: { trust: undefined }, certificates: undefined };

function to(settings: Partial<UpstreamTlsSettings>, address: string) {
  return new UpstreamTls({ ...plain, ...settings }, nobody).to(address);
}

test("who is asked for: the rule's name, else the service, else the endpoint's own", () => {
  const rows: readonly (readonly [Partial<UpstreamTlsSettings>, string, string])[] = [
    [{ sni: "b.example" }, "10.0.0.1", "b.example"],
    [{}, "10.0.0.1", "api.example"],
    [{ host: "" }, "a.wild.example", "a.wild.example"],
    [{ host: "" }, "10.0.0.1", ""],
  ];
  for (const [settings, address, name] of rows) expect(to(settings, address).serverName).toBe(name);
});

test("one way to secure connections serves all endpoints of a service", () => {
  const tls = new UpstreamTls(plain, nobody);
  expect(tls.to("10.0.0.1")).toBe(tls.to("10.0.0.2"));
});

test("who is believed: the one asked for, or any of the alternatives", () => {
  const believes = (settings: Partial<UpstreamTlsSettings>, dns: string[], uris: string[] = []) => {
    const { expected } = to(settings, "10.0.0.1");
    return (
      expected === "anybody" ||
      isExpected({ dns, uris, uriCount: uris.length, addresses: [] }, expected)
    );
  };
  const several = { subjectAltNames: ["a.x.example", "y.example", "spiffe://m/ns/a/sa/b"] };
  expect(believes({}, ["api.example"])).toBe(true);
  expect(believes({}, ["x.example"])).toBe(false);
  expect(believes(several, ["api.example"])).toBe(false);
  expect(believes(several, ["*.x.example"])).toBe(true);
  expect(believes(several, ["y.example"])).toBe(true);
  expect(believes(several, [], ["spiffe://m/ns/a/sa/b"])).toBe(true);
  expect(believes({ subjectAltNames: ["spiffe://m/ns/a/sa/b"] }, ["api.example"])).toBe(false);
  expect(believes({ insecureSkipVerify: true }, [])).toBe(true);
});

function setUp() {
  const directory = mkdtempSync(join(tmpdir(), "mesh-credentials-"));
  closers.push(() => rmSync(directory, { recursive: true }));
  const lines: string[] = [];
  const credentials = new UpstreamCredentials({
    clock: systemClock,
    log: new Log("test", { level: "info" }, (line) => void lines.push(line)),
    watch: { settleMs: 1, pollMs: 5 },
  });
  closers.push(() => credentials.close());
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  return { credentials, lines, file, path: (name: string) => join(directory, name) };
}

test("roots that are missing are said, and found when they come", async () => {
  const { credentials, lines, file, path } = setUp();
  const { roots } = credentials.of({ ...none, caCertificates: path("ca.pem") });
  expect(roots.trust).toBeUndefined();
  expect(lines.join("")).toContain("ca.pem: it cannot be read (ENOENT)");
  file("ca.pem", root.certificate);
  while (roots.trust === undefined) await Bun.sleep(2);
});

test("a new certificate of ours is shown from then on", async () => {
  const { credentials, file, lines } = setUp();
  const write = (name: string) => {
    const { chain, key } = root.issue({ name });
    return { clientCertificate: file("c.pem", chain), privateKey: file("k.pem", key) };
  };
  const { certificates } = credentials.of({ ...none, ...write("first") });
  expect(certificates?.default?.subject).toBe("CN=first");
  write("second");
  while (certificates?.default?.subject !== "CN=second") await Bun.sleep(2);
  expect(lines.filter((line) => !line.includes("subjectAltName"))).toEqual([]);
});

test("the same files are read once, as long as somebody needs them", () => {
  const { credentials, file } = setUp();
  const paths = { ...none, caCertificates: file("ca.pem", root.certificate) };
  const first = credentials.of(paths);
  expect(credentials.of({ ...paths })).toBe(first);
  credentials.keep([paths]);
  expect(credentials.of(paths)).toBe(first);
  credentials.keep([]);
  expect(credentials.of(paths)).not.toBe(first);
});

test("sessions are shared by address and by the way to secure them", () => {
  const pools = new SessionPools({} as ConstructorParameters<typeof SessionPools>[0]);
  const [one, two] = [to({}, "10.0.0.1"), to({}, "10.0.0.1")];
  const at = { hostname: "10.0.0.1", port: 443, isForeign: true };
  const first = pools.acquire({ ...at, tls: one });
  expect(pools.acquire({ ...at, tls: one })).toBe(first);
  expect(pools.acquire({ ...at, tls: two })).not.toBe(first);
  expect(pools.acquire(at)).not.toBe(first);
  first.drain();
  first.drain();
  expect(pools.acquire({ ...at, tls: one })).not.toBe(first);
});
