/**
 * What a sidecar says of itself to another, once for all streams of their connection, and what of
 * that is believed: rules speak of `source.labels`, and a stranger tries to be somebody by it, or
 * somebody whose certificate is another's.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { IdentityService } from "../api/gen/mesh/v1/identity_pb.ts";
import { Flag, FrameType, preface } from "../http2/frame.ts";
import { createCertificateRequest } from "../io/certificate-request.ts";
import { CLAIM_MAX, type Claim, encodeClaim } from "../proxy/policy/workload-claim.ts";
import { MESH_CLAIM_FRAME, MESH_SETTING, MESH_VERSION } from "../proxy/transport/mesh-socket.ts";
import { frame, headers, join, readFrames, settings } from "../testing/http2-peer.ts";
import { managerPorts, managerUrl, type Sidecar, startManager, startSidecar } from "./mesh.ts";
import { ctl, Stage, until } from "./process.ts";

const stage = new Stage();
const ports = managerPorts();
let callee: Sidecar;
let canary: Sidecar;
let stable: Sidecar;

/** Who says nothing passes, so that a claim that is not believed shows as 200. */
const rules = [
  '(source.labels["version"] | "") == "canary"',
  '(source.labels["app"] | "") == "admin"',
  '(source.service | "") == "admin.default.svc.cluster.local"',
  '(source.workload.name | "").startsWith("admin")',
  '(source.uid | "") == "kubernetes://admin-1x8k2m.default"',
].map(
  (match, i) => `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: not-${i}, namespace: default }
spec:
  match: context.reporter.kind == "inbound" && ${match}
  actions:
  - handler: { compiledAdapter: denier, params: { status: { code: 7, message: not you } } }
    instances: [{ compiledTemplate: checknothing }]
`,
);

beforeAll(async () => {
  await startManager(stage, ports);
  const manager = ["--manager", managerUrl(ports)];
  const app = stage.application("hello");
  callee = await startSidecar(stage, [
    ...[...manager, "--service", "web.default", "--app-port", String(app)],
    ...["--service-port", "80", "--protocol", "http"],
  ]);
  const caller = (version: string): Promise<Sidecar> =>
    startSidecar(stage, [
      ...manager,
      "--service",
      "caller.default",
      "--labels",
      `version=${version}`,
    ]);
  [canary, stable] = [await caller("canary"), await caller("stable")];
  const file = stage.file("rules.yaml", rules.join("---"));
  expect(await ctl("apply", "--manager", managerUrl(ports), "-f", file)).toMatchObject({ code: 0 });
  await until("the rule to be in force", async () => (await askH2(canary)) === "403");
}, 60_000);
afterAll(() => stage.close());

/** By HTTP/2 with prior knowledge, as a gRPC client does. */
async function askH2({ outbound }: Sidecar): Promise<string> {
  const flags = ["--http2-prior-knowledge", "-s", "-o", "/dev/null", "-w", "%{http_code}"];
  const url = `http://127.0.0.1:${outbound}/`;
  const child = Bun.spawn(["curl", ...flags, "-H", "host: web", url], { stdout: "pipe" });
  return await new Response(child.stdout).text();
}

test("streams are told from those of other callers", async () => {
  for (let i = 0; i < 3; i++)
    expect([await askH2(canary), await askH2(stable)]).toEqual(["403", "200"]);
});

/** Of a copy of "caller", unless it says something else. */
const claim = (said: Partial<Claim>): Uint8Array =>
  new TextEncoder().encode(
    encodeClaim({
      ...{ id: "caller-1x8k2m.default", service: "caller.default.svc.cluster.local" },
      ...{ namespace: "default", labels: {}, ...said },
    }),
  );
const claimOf = (version: string): Uint8Array => claim({ labels: { version } });
const saying = (claim: Uint8Array | string, stream = 0): Uint8Array =>
  frame(MESH_CLAIM_FRAME, 0, stream, claim);
const request = (id: number): Uint8Array =>
  headers(id, [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "web"],
  ]);
/** A connection inside of the connection. */
const opens = [
  [":method", "CONNECT"],
  [":authority", "mesh.invalid:1"],
] as const;
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const sidecar = join([preface, settings([MESH_SETTING, MESH_VERSION])]);
const stranger = join([preface, settings()]);
const bad = claimOf("canary");

/** `said`: of the last of its streams: "200", or "refused". */
const rows: readonly (readonly [what: string, said: readonly Uint8Array[], answer: string])[] = [
  ["a sidecar's", [sidecar, saying(bad), request(1)], "refused"],
  ["nothing", [sidecar, request(1)], "200"],
  ["somebody's who is no sidecar", [stranger, saying(bad), request(1)], "200"],
  ["one on a stream", [sidecar, saying(bad, 1), request(1)], "200"],
  ["one that comes after a request", [sidecar, request(1), saying(bad), request(3)], "200"],
  ["the first of two", [sidecar, saying(claimOf("v1")), saying(bad), request(1)], "200"],
  ["garbage, and then another", [sidecar, saying("\u00ff{]"), saying(bad), request(1)], "200"],
  ["one that is too long", [sidecar, saying("A".repeat(CLAIM_MAX + 1)), request(1)], "200"],
  ["an empty one", [sidecar, saying(""), request(1)], "200"],
];

test.each(rows)("a claim at the inbound port: %s", async (_what, parts, answer) => {
  expect(await tell(parts, await certificateOf("caller"))).toBe(answer);
});

describe("of whom a claim is, says the certificate", () => {
  const admin = { id: "admin-1x8k2m.default", service: "admin.default.svc.cluster.local" };
  /** `as`: whose certificate is shown; "": none, in plaintext. */
  const rows: readonly (readonly [as: string, said: Partial<Claim>, answer: string])[] = [
    ["admin", admin, "refused"],
    ["admin", { ...admin, id: "admin.default", labels: { app: "admin" } }, "refused"],
    ["caller", admin, "200"],
    ["caller", { service: admin.service }, "200"],
    ["caller", { id: admin.id }, "200"],
    ["caller", { id: admin.id, service: "" }, "200"],
    ["caller", { id: "admin-1.default", service: "" }, "200"],
    ["caller", { labels: { app: "admin" } }, "200"],
    ["caller", { ...admin, labels: { app: "admin" } }, "200"],
    ["caller", { labels: { version: "canary" } }, "refused"],
    ["caller", { namespace: "prod", labels: { version: "canary" } }, "200"],
    ["", admin, "200"],
    ["", { labels: { version: "canary" } }, "200"],
  ];
  test.each(rows)("%p says %j", async (as, said, answer) => {
    const shown = as === "" ? undefined : await certificateOf(as);
    expect(await tell([sidecar, saying(claim(said)), request(1)], shown)).toBe(answer);
  });

  test.each(rows)("%p says %j, when it opens a connection inside", async (as, said, answer) => {
    const by = as === "" ? undefined : await certificateOf(as);
    const opening = headers(1, [...opens, ["x-mesh-source", text(claim(said))]], false);
    const call = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
    const parts = [sidecar, opening, frame(FrameType.data, 0, 1, call)];
    const status = (frames: Frames): string | undefined => {
      const inside = frames.filter(({ type }) => type === FrameType.data);
      return /HTTP\/1.1 (\d+)/.exec(text(join(inside.map(({ payload }) => payload))))?.[1];
    };
    expect(await exchange(parts, by, status)).toBe(answer === "refused" ? "403" : answer);
  });

  test("and what it does not bear out is counted and said", async () => {
    const url = `http://127.0.0.1:${callee.admin}/stats/prometheus`;
    const metrics = await (await fetch(url)).text();
    for (const reason of [
      "unproved",
      "other-namespace",
      "other-service",
      "other-copy",
      "other-app",
    ])
      expect(metrics).toMatch(
        new RegExp(`^mesh_source_claims_doubted_total\\{reason="${reason}"\\} [1-9]`, "m"),
      );
    const line = /a caller says of itself what it does not prove.*other-service.*sa\/caller/;
    await until("the line", async () => line.test(callee.running.output()));
  });
});

interface Shown {
  readonly cert: string;
  readonly key: string;
}

const shown = new Map<string, Promise<Shown>>();

/** As a process of our own user gets one for whatever service it likes. */
function certificateOf(service: string): Promise<Shown> {
  return shown.getOrInsertComputed(service, async () => {
    const transport = createConnectTransport({ baseUrl: managerUrl(ports), httpVersion: "1.1" });
    const client = createClient(IdentityService, transport);
    const { csrPem, keyPem: key } = await createCertificateRequest("");
    const { chainPem: cert } = await client.issueCertificate({ csrPem, service });
    return { cert, key };
  });
}

/** Sends these octets, and waits for the heads of all responses. */
async function tell(parts: readonly Uint8Array[], by?: Shown): Promise<string> {
  const requests = parts.filter((part) => part[3] === FrameType.headers).length;
  return await exchange(parts, by, (frames) => {
    const heads = frames.filter(
      ({ type, flags }) => type === FrameType.headers && (flags & Flag.endHeaders) !== 0,
    );
    if (heads.length !== requests) return undefined;
    // Of the static table ":status 200" alone is one octet (RFC 7541 Appendix A, 8).
    return heads.at(-1)?.payload[0] === 0x88 ? "200" : "refused";
  });
}

type Frames = ReturnType<typeof readFrames>;

/** Sends these octets, and reads on until that is an answer. */
async function exchange(
  parts: readonly Uint8Array[],
  by: Shown | undefined,
  answerOf: (frames: Frames) => string | undefined,
): Promise<string> {
  const answered = Promise.withResolvers<string>();
  let received = Buffer.alloc(0);
  const to = { host: "127.0.0.1", port: callee.inbound };
  const tls = { ALPNProtocols: ["mesh-h2"], rejectUnauthorized: false };
  const socket =
    by === undefined
      ? connectTcp(to, () => socket.write(join(parts)))
      : connectTls({ ...to, ...tls, ...by }, () => socket.write(join(parts)));
  socket.on("data", (bytes: Buffer) => {
    received = Buffer.concat([received, bytes]);
    const answer = answerOf(wholeFrames(received));
    if (answer !== undefined) answered.resolve(answer);
  });
  socket.on("error", (error) => answered.resolve(error.message));
  socket.on("close", () => answered.resolve("closed"));
  const answer = await answered.promise;
  socket.destroy();
  return answer;
}

function wholeFrames(bytes: Buffer) {
  let at = 0;
  while (at + 9 <= bytes.length && at + 9 + bytes.readUIntBE(at, 3) <= bytes.length)
    at += 9 + bytes.readUIntBE(at, 3);
  return readFrames(new Uint8Array(bytes.subarray(0, at)));
}
