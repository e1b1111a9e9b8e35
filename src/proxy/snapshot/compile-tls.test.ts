/** TLS of a cluster, as a configuration has it. */
import { expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Cluster_Protocol,
  ClusterSchema,
  type UpstreamTlsSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { UpstreamCredentials } from "../upstream/upstream-credentials.ts";
import type { UpstreamTls } from "../upstream/upstream-tls.ts";
import { compileTls } from "./compile-tls.ts";
import { ProblemList } from "./problem-list.ts";

const credentials = new UpstreamCredentials({
  clock: systemClock,
  log: new Log("test", { level: "error" }),
});

function compile(
  tls: MessageInitShape<typeof UpstreamTlsSchema>,
  { service = "a.example", protocol = Cluster_Protocol.HTTP } = {},
  former?: UpstreamTls,
) {
  const problems = new ProblemList({ file: "a", line: 0, column: 0 }, "");
  const resource = create(ClusterSchema, { name: "c", service, protocol, tls });
  const before = former === undefined ? undefined : ({ tls: former } as Cluster);
  const compiled = compileTls(resource, before, credentials, problems);
  return { compiled, problems: problems.problems.map(({ message }) => message) };
}

test("what says the same is the former object, so that its connections live on", () => {
  const { compiled } = compile({ sni: "b.example" });
  expect(compile({ sni: "b.example" }, {}, compiled).compiled).toBe(compiled!);
  expect(compile({ sni: "c.example" }, {}, compiled).compiled).not.toBe(compiled!);
  const http2 = { protocol: Cluster_Protocol.HTTP2 };
  expect(compile({ sni: "b.example" }, http2, compiled).compiled).not.toBe(compiled!);
});

test("a pattern of hosts leaves the name to each of them", () => {
  expect(compile({}).compiled?.settings.host).toBe("a.example");
  expect(compile({}, { service: "*.a.example" }).compiled?.settings.host).toBe("");
});

test("protocols are agreed on as the cluster speaks", () => {
  const protocols = (protocol: Cluster_Protocol) =>
    compile({}, { service: "a.example", protocol }).compiled?.settings.protocols;
  expect(protocols(Cluster_Protocol.HTTP)).toEqual(["http/1.1"]);
  expect(protocols(Cluster_Protocol.HTTP2)).toEqual(["h2"]);
  expect(protocols(Cluster_Protocol.TCP)).toEqual([]);
});

test("half of a pair is a problem", () => {
  const together = "a certificate and its key are given together";
  expect(compile({ clientCertificate: "/a" }).problems).toEqual([together]);
  expect(compile({ privateKey: "/a" }).problems).toEqual([together]);
});

test("a cluster that cannot be secured is refused, never plaintext", () => {
  const problems = new ProblemList({ file: "a", line: 0, column: 0 }, "");
  const resource = create(ClusterSchema, { name: "c", tls: {} });
  expect(compileTls(resource, undefined, undefined, problems)).toBeUndefined();
  expect(problems.problems).toHaveLength(1);
});
