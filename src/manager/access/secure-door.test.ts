/** The API over TLS, by real sockets: who is believed to be whom, and what becomes of attacks. */
import { afterEach, describe, expect, test } from "bun:test";
import { createHash, X509Certificate } from "node:crypto";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import type { SecureLimits } from "../../api/serve-secure.ts";
import {
  CertificateAuthority,
  type CertificateRequest,
} from "../../testing/certificate-authority.ts";
import {
  clientOf,
  credentialOf,
  MANAGER_NAMES,
  openSecureApi,
  type SecureApi,
} from "../../testing/secure-api.ts";
import { authenticator } from "./authenticate.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const ID = "spiffe://cluster.local/ns/default/sa/reviews";
const HOUR = 3_600_000;

interface Door extends SecureApi {
  roots: ReadonlySet<string>;
  nowMs: () => number;
}

async function open(limits: Partial<SecureLimits> = {}): Promise<Door> {
  const state = { roots: new Set<string>(), nowMs: () => Date.now() };
  const api = await openSecureApi(
    authenticator({
      wallMs: () => state.nowMs(),
      uids: new Set([0]),
      tokens: {
        find: (token) =>
          token === "mesh-access.1.s" ? { name: "ann", role: "viewer" } : undefined,
      },
      trustDomains: () => ["cluster.local"],
      roots: () => state.roots,
      lapseOf: () => undefined,
      roles: new Map(),
    }),
    limits,
  );
  closing.push(() => api.server.close());
  state.roots.add(rootOf(api.authority));
  return Object.assign(state, api);
}

function rootOf({ certificate }: CertificateAuthority): string {
  return createHash("sha256").update(new X509Certificate(certificate).raw).digest("hex");
}

function named(...uris: readonly string[]): CertificateRequest {
  return { name: "reviews", for: uris.map((uri) => `URI:${uri}`) };
}

/** "workload spiffe://…", or "anonymous" and why. */
function told(answer: string): string {
  if (answer === "refused") return answer;
  const { kind, identity = "", name = "", reason = "" } = JSON.parse(answer);
  return `${kind} ${identity}${name}${reason}`.trim();
}

const issued: readonly (readonly [what: string, request: CertificateRequest, who: string])[] = [
  ["a good one", named(ID), `workload ${ID}`],
  ["an expired one", { ...named(ID), untilMs: Date.now() - 1_000 }, "anonymous .*CERT_HAS_EXPIRED"],
  ["one not yet valid", { ...named(ID), fromMs: Date.now() + HOUR }, "anonymous .*NOT_YET_VALID"],
  ["another trust domain", named("spiffe://evil/ns/default/sa/reviews"), "anonymous .*domain evil"],
  ["no workload's name", named("spiffe://cluster.local/reviews"), "anonymous .*for no workload"],
  ["a web page's name", named("https://cluster.local/"), "anonymous .*for no workload"],
  ["no name", { name: "reviews" }, "anonymous .*0 URIs"],
  ["a host's name only", { name: "reviews", for: ["DNS:reviews"] }, "anonymous .*0 URIs"],
  ["two names", named(ID, "spiffe://cluster.local/ns/a/sa/b"), "anonymous .*2 URIs"],
  ["the same name twice", named(ID, ID), "anonymous .*2 URIs"],
  ["NUL in its name", named(`${ID}\0.evil`), "anonymous .*1 URIs, or for one that is none"],
  ["a second with NUL", named(ID, "spiffe://a\0b"), "anonymous .*2 URIs"],
  ["one that looks like two", named(`x, URI:${ID}`), "anonymous .*1 URIs, or for one that is none"],
];

describe.each([
  ["TLS 1.3", {}],
  ["TLS 1.2", { maxVersion: "TLSv1.2" }],
] as const)("%s: a certificate with", (_, version) => {
  test.each(issued)("%s", async (_, request, who) => {
    const { authority, ask } = await open();
    const client = clientOf(authority.issue(request));
    expect(told(await ask({ ...client, ...version }))).toMatch(new RegExp(`^${who}`));
  });
});

describe("who is not believed", () => {
  test("who shows nothing, and whom another authority signed for", async () => {
    const { ask } = await open();
    expect(told(await ask())).toBe("anonymous no certificate, and no access token");
    const foreign = new CertificateAuthority();
    const byItself = clientOf(foreign.issue(named(ID)));
    expect(told(await ask(byItself))).toMatch(/^anonymous .*UNABLE_TO_VERIFY/);
  });

  test("who has only the chain of an intermediate that nobody showed", async () => {
    const { authority, ask } = await open();
    const between = new CertificateAuthority("Between", authority);
    const { chain, key } = between.issue(named(ID));
    expect(told(await ask({ cert: chain, key }))).toBe(`workload ${ID}`);
    const leaf = `${chain.split("-----END CERTIFICATE-----\n")[0]}-----END CERTIFICATE-----\n`;
    expect(told(await ask({ cert: leaf, key }))).toMatch(/^anonymous .*UNABLE_TO_VERIFY/);
  });

  test("who shows the certificate of somebody else without its key", async () => {
    const { authority, ask } = await open();
    const [mine, theirs] = [authority.issue(named(ID)), authority.issue(named(ID))];
    const answer = await ask({ cert: mine.chain, key: theirs.key }).catch(() => "refused");
    expect(told(answer)).not.toMatch(/^workload/);
  });
});

test("a certificate that ends in the middle of a connection stops counting there", async () => {
  const door = await open();
  const client = clientOf(door.authority.issue({ ...named(ID), untilMs: Date.now() + HOUR }));
  const to = `https://127.0.0.1:${door.server.port}`;
  const session = connectHttp2(to, { ...client, rejectUnauthorized: false });
  closing.push(() => session.destroy());
  const ask = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ":path": "/who" });
      let said = "";
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        said += text;
      });
      stream.on("error", reject);
      stream.on("end", () => resolve(told(said)));
    });
  expect(await ask()).toBe(`workload ${ID}`);
  door.nowMs = () => Date.now() + 2 * HOUR;
  expect(await ask()).toBe("anonymous the certificate has expired");
  door.nowMs = () => Date.now();
  door.roots = new Set(["another"]);
  expect(await ask()).toBe("anonymous the certificate's root is trusted no more");
});

test("roots rotate: first both count, then the new one", async () => {
  const { authority: old, server, roots, ask } = await open();
  const next = new CertificateAuthority("Next root");
  const [before, after] = [old, next].map((one) => clientOf(one.issue(named(ID))));
  expect(told(await ask(after))).toStartWith("anonymous");
  const leaf = next.issue({ name: "m", for: MANAGER_NAMES });
  server.use(credentialOf(leaf, [old, next]));
  (roots as Set<string>).add(rootOf(next));
  expect([told(await ask(before)), told(await ask(after))]).toEqual([
    `workload ${ID}`,
    `workload ${ID}`,
  ]);
  expect(
    told(await ask({ ca: next.certificate, servername: "mesh-manager.mesh-system.svc" })),
  ).toBe("anonymous no certificate, and no access token");
  server.use(credentialOf(leaf, [next]));
  expect(told(await ask(before))).toStartWith("anonymous");
  expect(told(await ask(after))).toBe(`workload ${ID}`);
});

const refused: readonly (readonly [what: string, options: ConnectionOptions])[] = [
  ["TLS 1.1", { minVersion: "TLSv1", maxVersion: "TLSv1.1" }],
  ["no forward secrecy", { maxVersion: "TLSv1.2", ciphers: "AES128-GCM-SHA256" }],
  ["CBC", { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA" }],
];

test.each(refused)("%s is not spoken", async (_, options) => {
  const { ask } = await open();
  expect(await ask(options)).toBe("refused");
});

test("no session is resumed", async () => {
  const { server } = await open();
  const to = { host: "127.0.0.1", port: server.port, rejectUnauthorized: false };
  const handshake = (options: ConnectionOptions) =>
    new Promise<{ session: Buffer | undefined; resumed: boolean }>((resolve) => {
      let session: Buffer | undefined;
      const socket = connectTls({ ...to, ...options }, () => {
        socket.end("GET / HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n");
      });
      socket.on("session", (found: Buffer) => {
        session = found;
      });
      socket.on("data", () => {});
      socket.on("error", () => {});
      socket.on("close", () => resolve({ session, resumed: socket.isSessionReused() }));
    });
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const { session } = await handshake({ maxVersion });
    const again = await handshake({ maxVersion, ...(session !== undefined && { session }) });
    expect(again.resumed).toBe(false);
  }
});

/** Sends it, and waits for the end of the connection. */
function send(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let said = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes, "latin1"));
    socket.on("data", (chunk: Buffer) => {
      said += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(said));
  });
}

test.each([
  ["plaintext HTTP/1.1", "GET /who HTTP/1.1\r\nHost: m\r\n\r\n"],
  ["plaintext HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["garbage", "\x00\xff\x17 and so on"],
  ["a handshake that goes wrong", `\x16\x03\x01\x00\x20\x01${"\x00".repeat(31)}`],
])("%s gets no answer in HTTP", async (_, bytes) => {
  const { server } = await open({ handshakeMs: 1_000 });
  expect(await send(server.port, bytes)).not.toContain("HTTP/1.1 200");
});

test.each(["http2", "http1.1"] as const)(
  "pages by %s have status and headers",
  async (protocol) => {
    const { server } = await open();
    const options = { tls: { rejectUnauthorized: false }, protocol };
    const answer = await fetch(`https://127.0.0.1:${server.port}/missing`, options as RequestInit);
    expect(answer.status).toBe(404);
    expect(answer.headers.get("content-type")).toContain("application/json");
    expect(await answer.text()).toContain("anonymous");
  },
);

test("a token says who somebody is, with or without a certificate", async () => {
  const { server } = await open();
  const ask = async (authorization: string): Promise<string> => {
    const tls = { rejectUnauthorized: false };
    const url = `https://127.0.0.1:${server.port}/who`;
    return told(await (await fetch(url, { tls, headers: { authorization } })).text());
  };
  expect(await ask("Bearer mesh-access.1.s")).toBe("person ann");
  expect(await ask("Bearer mesh-access.2.s")).toStartWith("anonymous the authorization");
});

describe("too many", () => {
  test("who holds handshakes open gives way, and good clients are served meanwhile", async () => {
    const { server, authority, ask } = await open({ handshakes: 50 });
    const client = clientOf(authority.issue(named(ID)));
    const held = Array.from({ length: 300 }, () => {
      const socket = connect(server.port, "127.0.0.1");
      socket.on("error", () => {});
      closing.push(() => void socket.destroy());
      return socket;
    });
    await Promise.all(
      held.slice(0, 200).map((one) => new Promise((done) => one.on("close", done))),
    );
    expect(server.counts.handshakes).toBeLessThanOrEqual(50);
    expect(told(await ask(client))).toBe(`workload ${ID}`);
  });

  test("a connection without a certificate on which nothing is said is closed", async () => {
    const { server, authority } = await open({ quietMs: 100 });
    const dial = (options: ConnectionOptions) => {
      const to = { host: "127.0.0.1", port: server.port, rejectUnauthorized: false };
      const socket = connectTls({ ...to, ...options });
      socket.on("error", () => {});
      socket.on("data", () => {});
      closing.push(() => void socket.destroy());
      return socket;
    };
    const known = dial(clientOf(authority.issue(named(ID))));
    const stranger = dial({});
    await new Promise((done) => stranger.on("close", done));
    expect(known.destroyed).toBe(false);
  });

  test("a handshake that takes too long is ended", async () => {
    const { server } = await open({ handshakeMs: 200 });
    expect(await send(server.port, "\x16\x03\x01")).toBe("");
    expect(server.counts).toMatchObject({ connections: 0, handshakes: 0, failedHandshakes: 1 });
  });

  test("connections without a certificate give way to each other, and to nobody else", async () => {
    const { server, authority, ask } = await open({ strangers: 5 });
    const dial = (options: ConnectionOptions) =>
      new Promise<ReturnType<typeof connectTls>>((resolve) => {
        const to = { host: "127.0.0.1", port: server.port, rejectUnauthorized: false };
        const socket = connectTls({ ...to, ...options }, () => resolve(socket));
        socket.on("error", () => {});
        socket.on("data", () => {});
        closing.push(() => void socket.destroy());
      });
    const client = clientOf(authority.issue(named(ID)));
    const known = await dial(client);
    const strangers = [];
    for (let i = 0; i < 10; i++) strangers.push(await dial({}));
    await Promise.all(
      strangers
        .slice(0, 5)
        .map((one) => one.closed || new Promise((done) => one.on("close", done))),
    );
    expect(server.counts).toMatchObject({ strangers: 5, connections: 6, displaced: 5 });
    expect(known.destroyed).toBe(false);
    expect(told(await ask(client))).toBe(`workload ${ID}`);
  });
});

/** All of them where there is time. */
const ATTACKS = process.env.CI === "true" ? 10_000 : 3_000;

test("thousands of bad handshakes leave nothing behind, and good clients are served", async () => {
  const { server, authority, ask } = await open({ handshakeMs: 200 });
  const client = clientOf(authority.issue(named(ID)));
  const attacks = [
    "",
    "GET / HTTP/1.1\r\n\r\n",
    "\x16\x03\x01",
    `\x16\x03\x01\x00\x20\x01${"\x00".repeat(31)}`,
    "\x80\x00garbage",
  ];
  /** Some are ended by us, some by the server, all of them in time. */
  const attack = (i: number): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect(server.port, "127.0.0.1", () => {
        socket.write(attacks[i % attacks.length]!, "latin1");
        if (i % 3 === 0) socket.resetAndDestroy();
        else if (i % 3 === 1) socket.end();
      });
      socket.on("data", () => {});
      socket.on("error", () => {});
      socket.on("close", () => resolve());
    });
  const WAVES = 5;
  const each = ATTACKS / WAVES;
  const residentBytes: number[] = [];
  for (let wave = 0; wave < WAVES; wave++) {
    for (let i = 0; i < each; i += 500) {
      await Promise.all(Array.from({ length: Math.min(500, each - i) }, (_, j) => attack(i + j)));
      expect(told(await ask(client))).toBe(`workload ${ID}`);
    }
    Bun.gc(true);
    residentBytes.push(process.memoryUsage().rss);
  }
  // A client that resets its connection is done before the server hears of it.
  for (let tries = 0; server.counts.handshakes > 0 && tries < 1_000; tries++) await Bun.sleep(10);
  expect(server.counts).toMatchObject({ handshakes: 0, strangers: 0 });
  // Some were gone before they were seen.
  expect(server.counts.failedHandshakes).toBeGreaterThan(0.9 * ATTACKS);
  // The last good client's may be closing still.
  expect(server.counts.connections).toBeLessThanOrEqual(1);
  // What leaks grows by each wave; an allocator, by some.
  const growth = residentBytes.slice(1).map((bytes, i) => bytes - residentBytes[i]!);
  expect(Math.min(...growth) / each).toBeLessThan(2_048);
}, 60_000);
