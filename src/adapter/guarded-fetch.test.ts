/** Whom a URL in a rule may lead to, and what is said where it does not lead to what was meant. */
import { afterEach, describe, expect, test } from "bun:test";
import { systemClock } from "../core/clock.ts";
import { parseTrustBundle } from "../io/certificate.ts";
import { CertificateAuthority } from "../testing/certificate-authority.ts";
import { freePorts } from "../testing/free-port.ts";
import { KeyServer, type KeyServerOptions } from "../testing/key-server.ts";
import { guardedWhy } from "./guarded-address.ts";
import { type Got, GuardedFetch, type GuardedFetchOptions } from "./guarded-fetch.ts";

const root = new CertificateAuthority();
const trust = parseTrustBundle({ file: "roots", text: root.certificate }, Date.now()).value;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function serve(options: Partial<KeyServerOptions> = {}): KeyServer {
  const server = new KeyServer({ answer: () => "keys", ...options });
  closers.push(() => server.close());
  return server;
}

async function get(uri: string, options: Partial<GuardedFetchOptions> = {}): Promise<string> {
  const roots = () => ({ trust });
  const limits = { clock: systemClock, bytesMax: 1_000, timeoutMs: 10_000, roots };
  const fetching = new GuardedFetch({ ...limits, ...options });
  const got: Got = await fetching.get(uri);
  return got.at === "done" ? Buffer.from(got.body).toString() : got.why;
}

const link = "is an address of the link alone";
const none = "is no host's address";
// biome-ignore format: a table
const addresses: readonly (readonly [address: string, why: string | undefined])[] = [
  ["169.254.169.254",              link],
  ["169.254.0.0",                  link],
  ["169.254.255.255",              link],
  ["169.253.255.255",              undefined],
  ["169.255.0.0",                  undefined],
  ["::ffff:169.254.169.254",       link],
  ["::ffff:a9fe:a9fe",             link],
  ["::169.254.169.254",            link],
  ["64:ff9b::a9fe:a9fe",           link],
  ["2002:a9fe:a9fe::1",            link],
  ["fe80::1",                      link],
  ["febf::1",                      link],
  ["fec0::1",                      undefined],
  ["fe80::1%eth0",                 link],
  ["fd00:ec2::254",                link],
  ["fd00:ec2::253",                undefined],
  ["100.100.100.200",              link],
  ["168.63.129.16",                link],
  ["192.0.0.192",                  link],
  ["0.0.0.0",                      none],
  ["0.1.2.3",                      none],
  ["::",                           none],
  ["224.0.0.1",                    none],
  ["255.255.255.255",              none],
  ["ff02::1",                      none],
  ["127.0.0.1",                    undefined],
  ["::1",                          undefined],
  ["10.0.0.1",                     undefined],
  ["2001:db8::1",                  undefined],
  ["id.example.com",               "is no address"],
];

test.each(addresses)("%s: %p", (address, why) => {
  expect(guardedWhy(address, { allowsLinkLocal: false })).toBe(why!);
  const isLink = why === link;
  expect(guardedWhy(address, { allowsLinkLocal: true })).toBe(isLink ? undefined! : why!);
});

describe("a URL", () => {
  test.each([
    ["http://169.254.169.254/latest/meta-data", `169.254.169.254 ${link}`],
    ["http://[fe80::1]/", `fe80::1 ${link}`],
    ["http://[::ffff:169.254.169.254]/", `::ffff:a9fe:a9fe ${link}`],
    // As the URL standard reads numbers: hexadecimal, octal, in one.
    ["http://0xa9fea9fe/", `169.254.169.254 ${link}`],
    ["http://0251.0376.0251.0376/", `169.254.169.254 ${link}`],
    ["http://0/", `0.0.0.0 ${none}`],
    ["https://user:secret@id.example.com/", "has credentials in its URL"],
    ["file:///etc/passwd", "is no URL"],
    ["gopher://127.0.0.1/", "is no URL"],
    ["keys", "is no URL"],
  ])("%s", async (uri, why) => {
    expect(await get(uri, { lookUp: () => Promise.reject(new Error("nobody")) })).toBe(why);
  });

  test("goes by the address that its name has, and only by those that are let", async () => {
    const server = serve();
    const uri = `http://keys.example:${new URL(server.origin).port}/a?b=c`;
    const found = (...list: string[]) => ({ lookUp: async () => list });
    expect(await get(uri, found("127.0.0.1"))).toBe("keys");
    expect(await get(uri, found("169.254.169.254"))).toBe(`169.254.169.254 ${link}`);
    expect(await get(uri, found("fe80::1", "127.0.0.1"))).toBe("keys");
    // Which would lead to this machine.
    expect(await get(uri, found("0.0.0.0", "127.0.0.9"))).toBe("connection refused");
    expect(await get(uri, found())).toBe("no such host");
    expect(server.asked).toEqual(["/a", "/a"]);
  });

  test("is asked at the next address where the first is away", async () => {
    const server = serve();
    const uri = `http://keys.example:${new URL(server.origin).port}/`;
    expect(await get(uri, { lookUp: async () => ["127.0.0.9", "127.0.0.1"] })).toBe("keys");
  });

  test("that nobody answers", async () => {
    const [port = 0] = freePorts(1);
    expect(await get(`http://127.0.0.1:${port}/`)).toBe("connection refused");
  });
});

describe("over TLS", () => {
  const secure = (host: string, by = root): KeyServer => {
    const { chain: cert, key } = by.issue({ name: host, for: [`DNS:${host}`] });
    return serve({ tls: { cert, key } });
  };
  const at = (server: KeyServer): string => server.origin.replace("localhost", "keys.example");
  const lookUp = async () => ["127.0.0.1"];

  test("the server has to be the one that is named", async () => {
    expect(await get(at(secure("keys.example")), { lookUp })).toBe("keys");
    expect(await get(at(secure("other.example")), { lookUp })).toContain("of somebody else");
    const strange = secure("keys.example", new CertificateAuthority("Strange root"));
    expect(await get(at(strange), { lookUp })).toContain("is not trusted");
    const roots = () => ({ trust: undefined });
    expect(await get(at(secure("keys.example")), { lookUp, roots })).toContain("no roots to trust");
  });
});

describe("an answer", () => {
  test("elsewhere is not looked for", async () => {
    const other = serve();
    const headers = { location: other.origin };
    const server = serve({ answer: () => new Response("", { status: 307, headers }) });
    expect(await get(server.origin)).toBe("answered 307, and redirects are not followed");
    expect(other.asked).toEqual([]);
  });

  test("of nothing but a secret is not told of", async () => {
    const server = serve({ answer: () => new Response("secret", { status: 418 }) });
    expect(await get(server.origin)).toBe("answered 418");
  });

  test("is bounded in length and time", async () => {
    const long = serve({ answer: () => "a".repeat(1_001) });
    expect(await get(long.origin)).toBe("is longer than 1000 bytes");
    expect(await get(serve({ answer: () => "a".repeat(1_000) }).origin)).toHaveLength(1_000);
    const silent = serve({ answer: () => new Promise<Response>(() => {}) });
    expect(await get(silent.origin, { timeoutMs: 50 })).toBe("took too long");
    const lookUp = () => new Promise<readonly string[]>(() => {});
    expect(await get("http://keys.example/", { timeoutMs: 50, lookUp })).toBe("took too long");
  });
});
