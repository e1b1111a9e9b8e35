/** Tokens of Kubernetes: a server of HTTPS speaks TokenReview, and says everything that it may. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../core/clock.ts";
import { readTrust } from "../../io/certificate-files.ts";
import { CertificateAuthority } from "../../testing/certificate-authority.ts";
import { openIdentity } from "../../testing/identity-set-up.ts";
import { KubernetesToken } from "./kubernetes-token.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

interface Asked {
  readonly path: string;
  readonly authorization: string;
  readonly review: unknown;
}

/** An API server that answers every review with `status`; text: with that. */
async function apiServer(
  answer: { readonly status?: unknown; readonly code?: number; readonly text?: string },
  authority = new CertificateAuthority(),
) {
  const { chain, key } = authority.issue({ name: "api", for: ["IP:127.0.0.1"] });
  const asked: Asked[] = [];
  const server: Server = createServer({ cert: chain, key }, (request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on("end", () => {
      const { authorization = "" } = request.headers;
      asked.push({ path: request.url ?? "", authorization, review: JSON.parse(body) });
      response.writeHead(answer.code ?? 201, { "content-type": "application/json" });
      const review = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview" };
      response.end(answer.text ?? JSON.stringify({ ...review, status: answer.status }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { api: `https://127.0.0.1:${port}/`, authority, asked };
}

const rules = { audience: "mesh", trustDomain: "cluster.local", clock: systemClock };

function judge(api: string, authority: CertificateAuthority): KubernetesToken {
  const directory = mkdtempSync(join(tmpdir(), "mesh-kubernetes-"));
  closing.push(() => rmSync(directory, { recursive: true }));
  const [tokenFile, caFile] = [join(directory, "token"), join(directory, "ca.crt")];
  writeFileSync(tokenFile, "own-token\n");
  writeFileSync(caFile, authority.certificate);
  const roots = () => ({ trust: readTrust(caFile, Date.now()).value });
  return new KubernetesToken({ ...rules, api, caFile, tokenFile, roots });
}

/** `iss` is what API servers have; only the API server reads the rest. */
const jwt = ["{}", '{"iss":"https://kubernetes.default.svc"}', "signature"]
  .map((part) => Buffer.from(part).toString("base64url"))
  .join(".");
const good = {
  authenticated: true,
  user: { username: "system:serviceaccount:default:reviews" },
  audiences: ["mesh"],
};

async function issued(status: unknown, more: object = {}): Promise<string> {
  const { api, authority } = await apiServer({ status, ...more });
  const set = openIdentity({ jwts: [judge(api, authority)] });
  closing.push(() => set.close());
  const credential = { kind: "jwt", text: jwt } as const;
  const result = await set.issue({ credential, service: "reviews.default" });
  return result === "issued" ? (set.identity.issued.list(1)[0]?.identity ?? "") : result;
}

test("a token is shown to the API server, for our audience, by our own", async () => {
  const { api, authority, asked } = await apiServer({ status: good });
  const result = await judge(api, authority).claimOf(jwt);
  expect(result).toMatchObject({
    claim: {
      id: { trustDomain: "cluster.local", namespace: "default", account: "reviews" },
      by: "service account default/reviews",
    },
  });
  expect(asked).toEqual([
    {
      path: "/apis/authentication.k8s.io/v1/tokenreviews",
      authorization: "Bearer own-token",
      review: {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenReview",
        spec: { token: jwt, audiences: ["mesh"] },
      },
    },
  ]);
});

describe("the API server says", () => {
  const rows: readonly (readonly [what: string, status: unknown, result: string, more: object])[] =
    [
      ["yes", good, "spiffe://cluster.local/ns/default/sa/reviews", {}],
      [
        "no",
        { authenticated: false, error: "expired" },
        "unauthenticated: TokenReview: expired",
        {},
      ],
      ["nothing of it", {}, "unauthenticated: TokenReview: no", {}],
      [
        "a word for yes",
        { ...good, authenticated: "true" },
        "unauthenticated: TokenReview: no",
        {},
      ],
      [
        "for itself",
        { ...good, audiences: ["https://k"] },
        "unauthenticated: TokenReview: it is",
        {},
      ],
      [
        "for whom it may",
        { ...good, audiences: undefined },
        "unauthenticated: TokenReview: it is",
        {},
      ],
      [
        "another account, which may stand for any service of its namespace",
        { ...good, user: user("default:bookinfo") },
        "spiffe://cluster.local/ns/default/sa/bookinfo",
        {},
      ],
      ["another namespace", { ...good, user: user("other:reviews") }, "denied: ", {}],
      [
        "a person",
        { ...good, user: { username: "ann" } },
        "unauthenticated: TokenReview: ann is",
        {},
      ],
      ["a bad name", { ...good, user: user("a:b:c") }, "unauthenticated: ", {}],
      [
        "an id",
        { ...good, user: { username: "spiffe://evil/ns/a/sa/b" } },
        "unauthenticated: ",
        {},
      ],
      ["nobody", { ...good, user: undefined }, "unauthenticated: ", {}],
      ["that it fails", good, "unavailable: TokenReview: answered 500", { code: 500 }],
      ["that we may not ask", good, "unavailable: TokenReview: answered 403", { code: 403 }],
      ["no JSON", good, "unavailable: ", { text: "<html>" }],
      ["too much", good, "unavailable: TokenReview: is longer", { text: "x".repeat(100_000) }],
    ];
  test.each(rows)("%s", async (_, status, result, more) => {
    expect(await issued(status, more)).toStartWith(result);
  });
});

test("an API server with another root is not asked", async () => {
  const { api, asked } = await apiServer({ status: good });
  const result = await judge(api, new CertificateAuthority("Stranger")).claimOf(jwt);
  expect(result).toMatchObject({ refusal: { kind: "unavailable" } });
  expect(asked).toEqual([]);
});

test("without our own token nobody can be asked, and the log says which file it is", async () => {
  const tokenFile = "/nonexistent/token";
  const files = { api: "https://127.0.0.1:1", caFile: "", tokenFile };
  const token = new KubernetesToken({ ...rules, ...files, roots: () => ({ trust: undefined }) });
  const result = await token.claimOf(jwt);
  expect(result).toMatchObject({ refusal: { kind: "unavailable" } });
  expect(result.at === "refused" && result.refusal.reason).toContain(tokenFile);
});

function user(account: string): { readonly username: string } {
  return { username: `system:serviceaccount:${account}` };
}
