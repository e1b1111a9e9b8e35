/**
 * What a sidecar says of itself to another, once for all streams of their connection, and what of
 * that is believed: rules speak of `source.labels`, and a stranger tries to be somebody by it.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Flag, FrameType, preface } from "../http2/frame.ts";
import { CLAIM_MAX, encodeClaim } from "../proxy/policy/workload-claim.ts";
import { MESH_CLAIM_FRAME, MESH_SETTING, MESH_VERSION } from "../proxy/transport/mesh-socket.ts";
import { frame, headers, join, readFrames, settings } from "../testing/http2-peer.ts";
import { managerPorts, managerUrl, type Sidecar, startManager, startSidecar } from "./mesh.ts";
import { ctl, Stage, until } from "./process.ts";

const stage = new Stage();
let callee: Sidecar;
let canary: Sidecar;
let stable: Sidecar;

/** Who says nothing passes, so that a claim that is not believed shows as 200. */
const rules = `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: no-canaries, namespace: default }
spec:
  match: context.reporter.kind == "inbound" && (source.labels["version"] | "") == "canary"
  actions:
  - handler: { compiledAdapter: denier, params: { status: { code: 7, message: not you } } }
    instances: [{ compiledTemplate: checknothing }]
`;

beforeAll(async () => {
  const ports = managerPorts();
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
  const file = stage.file("rules.yaml", rules);
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

const claimOf = (version: string): Uint8Array =>
  new TextEncoder().encode(
    encodeClaim({
      ...{ id: "x.default", service: "x", namespace: "default", labels: { version } },
      ...{ address: "", version: "", mode: "sidecar" },
    }),
  );
const said = (claim: Uint8Array | string, stream = 0): Uint8Array =>
  frame(MESH_CLAIM_FRAME, 0, stream, claim);
const request = (id: number): Uint8Array =>
  headers(id, [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "web"],
  ]);
const sidecar = join([preface, settings([MESH_SETTING, MESH_VERSION])]);
const stranger = join([preface, settings()]);
const bad = claimOf("canary");

/** `said`: of the last of its streams: "200", or "refused". */
const rows: readonly (readonly [what: string, said: readonly Uint8Array[], answer: string])[] = [
  ["a sidecar's", [sidecar, said(bad), request(1)], "refused"],
  ["nothing", [sidecar, request(1)], "200"],
  ["somebody's who is no sidecar", [stranger, said(bad), request(1)], "200"],
  ["one on a stream", [sidecar, said(bad, 1), request(1)], "200"],
  ["one that comes after a request", [sidecar, request(1), said(bad), request(3)], "200"],
  ["the first of two", [sidecar, said(claimOf("v1")), said(bad), request(1)], "200"],
  ["garbage, and then another", [sidecar, said("\u00ff{]"), said(bad), request(1)], "200"],
  ["one that is too long", [sidecar, said("A".repeat(CLAIM_MAX + 1)), request(1)], "200"],
  ["an empty one", [sidecar, said(""), request(1)], "200"],
];

test.each(rows)("a claim at the inbound port: %s", async (_what, parts, answer) => {
  expect(await tell(parts)).toBe(answer);
});

/** Sends these octets, and waits for the heads of all responses. */
async function tell(parts: readonly Uint8Array[]): Promise<string> {
  const requests = parts.filter((part) => part[3] === FrameType.headers).length;
  const answered = Promise.withResolvers<string>();
  let received = Buffer.alloc(0);
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: callee.inbound,
    socket: {
      data: (_, bytes) => {
        received = Buffer.concat([received, bytes]);
        const heads = wholeFrames(received).filter(
          ({ type, flags }) => type === FrameType.headers && (flags & Flag.endHeaders) !== 0,
        );
        // Of the static table ":status 200" alone is one octet (RFC 7541 Appendix A, 8).
        const status = heads.at(-1)?.payload[0] === 0x88 ? "200" : "refused";
        if (heads.length === requests) answered.resolve(status);
      },
      close: () => answered.resolve("closed"),
    },
  });
  socket.write(join(parts));
  const answer = await answered.promise;
  socket.end();
  return answer;
}

function wholeFrames(bytes: Buffer) {
  let at = 0;
  while (at + 9 <= bytes.length && at + 9 + bytes.readUIntBE(at, 3) <= bytes.length)
    at += 9 + bytes.readUIntBE(at, 3);
  return readFrames(new Uint8Array(bytes.subarray(0, at)));
}
