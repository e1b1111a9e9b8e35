/** Who says what of himself, by which certificate, and what of it rules get to see. */
import { describe, expect, test } from "bun:test";
import { Log } from "../../core/log.ts";
import { formatSpiffeId } from "../../core/spiffe-id.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { renderPrometheus } from "../../telemetry/prometheus.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import type { EndpointSpec } from "../cluster/membership.ts";
import { serviceNameOf } from "../cluster/service-name.ts";
import { ClaimJudge, type KnownMembers } from "./claim-judge.ts";
import { ConnectionFacts } from "./connection-facts.ts";
import type { Claim } from "./workload-claim.ts";

const host = (service: string): string => `${service}.svc.cluster.local`;
const idOf = (account: string, namespace = "default", trustDomain = "cluster.local") => ({
  ...{ trustDomain, namespace, account },
});

/** "bookinfo" of the account that an instance has; "": it has shown none. */
function instance(
  workload: string,
  account: string,
  labels: Record<string, string> = {},
  namespace = "default",
): EndpointSpec {
  const identity = account === "" ? "" : formatSpiffeId(idOf(account, namespace));
  return {
    ...{ address: "10.0.0.1", port: 15006, weight: 1, locality: "", meshTransport: true },
    ...{ workload, labels, identity },
  };
}

/** Each with a port of its own for every instance. */
function mesh(services: Readonly<Record<string, readonly EndpointSpec[]>>): KnownMembers {
  const all = Object.entries(services).flatMap(([service, specs]) =>
    specs.map((spec, port) => {
      const name = `outbound|${port}||${host(service)}`;
      return { name, specs: [spec], cluster: { serviceName: serviceNameOf(host(service)) } };
    }),
  );
  return {
    members: new Map(all.map(({ name, specs }) => [name, specs])),
    clusters: new Map(all.map(({ name, cluster }) => [name, cluster])),
  };
}

const known = mesh({
  "admin.default": [instance("admin-111111.default", "admin", { version: "v1" })],
  "ratings.default": [
    instance("ratings-222222.default", "bookinfo", { version: "v2", app: "stars" }),
    instance("odd-name.default", "bookinfo", { version: "v3" }),
    instance("ratings-888888.default", "bookinfo", { app: "details" }),
    instance("ratings-777777.default", "bookinfo", { app: "admin", version: "v4" }),
    instance("ratings-333333.default", "other"),
  ],
  "details.default": [instance("details-888888.default", "bookinfo")],
  "legacy.default": [instance("legacy-444444.default", "")],
  "elsewhere.default": [instance("elsewhere-666666.default", "web", {}, "prod")],
});

function judgeOf(members = known, isSecure = true) {
  const [clock, metrics, lines] = [new VirtualClock(), new Metrics(), [] as string[]];
  const log = new Log("proxy", { level: "info" }, (line) => void lines.push(line));
  const judge = new ClaimJudge({ clock, log, metrics, expectsProof: () => isSecure });
  judge.publish(members);
  return { judge, clock, lines, counted: () => renderPrometheus([metrics]) };
}

function claim(said: Partial<Claim>): Claim {
  const service = said.service === undefined ? "web.default" : said.service;
  return {
    ...{ id: "web-555555.default", namespace: "default", labels: {}, ...said },
    service: service === "" || service.includes(".svc.") ? service : host(service),
  };
}

interface Row {
  readonly what: string;
  readonly account?: string;
  readonly said: Partial<Claim>;
  readonly service: string;
  readonly copy: string;
  readonly workload: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly doubts?: string;
}

/** What an honest copy of web is. */
const web = { service: "web.default", copy: "web-555555", workload: "web", labels: { app: "web" } };
/** What is left of whoever says to be somebody else. */
const nobody = { service: "", copy: "web", workload: "web", labels: {} };

const rows: readonly Row[] = [
  { what: "its account's service", said: {}, ...web },
  {
    ...web,
    what: "a version of it",
    said: { labels: { version: "v1", tier: "front" } },
    workload: "web-v1",
    labels: { version: "v1", tier: "front", app: "web" },
  },
  { ...web, what: "its service, as app", said: { labels: { app: "web" } } },
  { ...web, what: "its id, without a digest", said: { id: "web.default" }, copy: "web" },
  {
    ...{ ...web, what: "no service", said: { service: "" }, service: "", workload: "web-555555" },
    labels: {},
  },
  {
    ...{ what: "a service that has instances of its account", account: "bookinfo" },
    said: { service: "ratings.default", id: "ratings-999999.default", labels: { version: "v9" } },
    ...{ service: "ratings.default", copy: "ratings-999999", workload: "ratings-v9" },
    labels: { version: "v9", app: "ratings" },
  },
  {
    ...{ what: "a copy that is registered: with the labels of that", account: "bookinfo" },
    said: { service: "ratings.default", id: "ratings-222222.default", labels: { version: "v9" } },
    ...{ service: "ratings.default", copy: "ratings-222222", workload: "ratings-v2" },
    labels: { version: "v2", app: "stars" },
  },
  {
    ...{ what: "a copy by the name that it is registered with", account: "bookinfo" },
    said: { service: "ratings.default", id: "odd-name.default" },
    ...{ service: "ratings.default", copy: "odd-name", workload: "ratings-v3" },
    labels: { version: "v3", app: "ratings" },
  },
  {
    ...{ what: "a copy that is registered as another's app", account: "bookinfo" },
    said: { service: "ratings.default", id: "ratings-777777.default" },
    ...{ service: "ratings.default", copy: "ratings-777777", workload: "ratings-v4" },
    ...{ labels: { version: "v4", app: "ratings" }, doubts: "other-app" },
  },
  {
    ...{ what: "a copy that is registered as the app of another service", account: "bookinfo" },
    said: { service: "ratings.default", id: "ratings-888888.default" },
    ...{ service: "ratings.default", copy: "ratings-888888", workload: "ratings" },
    labels: { app: "details" },
  },
  // Whatever follows is said by whom the certificate of web is.
  {
    ...{ ...nobody, what: "another's service", said: { service: "admin.default" } },
    ...{ copy: "web-555555", workload: "web-555555", doubts: "other-service" },
  },
  {
    ...{ ...nobody, what: "another's service, copy, and version" },
    said: { service: "admin.default", id: "admin-111111.default", labels: { version: "v1" } },
    ...{ labels: { version: "v1" }, doubts: "other-service other-copy" },
  },
  {
    ...{ ...nobody, what: "a service of two accounts, neither its own" },
    said: { service: "ratings.default", id: "ratings-333333.default" },
    doubts: "other-service other-copy",
  },
  {
    ...{ ...nobody, what: "a service of which nobody has shown a certificate" },
    said: { service: "legacy.default" },
    ...{ copy: "web-555555", workload: "web-555555", doubts: "other-service" },
  },
  {
    ...{ ...nobody, what: "a service of its namesake elsewhere" },
    said: { service: "elsewhere.default" },
    ...{ copy: "web-555555", workload: "web-555555", doubts: "other-service" },
  },
  {
    ...{ ...nobody, what: "another's service, by who has one himself", account: "bookinfo" },
    said: { service: "admin.default", id: "ratings-222222.default" },
    ...{ copy: "bookinfo", workload: "bookinfo", doubts: "other-service other-copy" },
  },
  {
    ...{ ...nobody, what: "a service that nobody knows", said: { service: "new.default" } },
    ...{ copy: "web-555555", workload: "web-555555", doubts: "other-service" },
  },
  {
    ...{ ...nobody, what: "its name in another namespace", said: { service: "web.prod" } },
    ...{ copy: "web-555555", workload: "web-555555", doubts: "other-service" },
  },
  {
    ...{ ...nobody, what: "its name, and no namespace" },
    said: { service: "web" },
    ...{ copy: "web-555555", workload: "web-555555", doubts: "other-service" },
  },
  {
    ...{ ...web, what: "another's copy", said: { id: "admin-111111.default" } },
    ...{ copy: "web", doubts: "other-copy" },
  },
  {
    ...{ ...web, what: "a copy of what is named as itself, and more" },
    said: { id: "web-admin-111111.default" },
    ...{ copy: "web", doubts: "other-copy" },
  },
  ...["web-555555.prod", "web-555555", "web-55555.default", "xweb-555555.default", ""].map(
    (id) => ({ ...web, what: `to be ${id}`, said: { id }, copy: "web", doubts: "other-copy" }),
  ),
  {
    ...{ ...web, what: "another's app", said: { labels: { app: "admin", version: "v1" } } },
    ...{ workload: "web-v1", labels: { app: "web", version: "v1" }, doubts: "other-app" },
  },
  ...["app.kubernetes.io/name", "service.istio.io/canonical-name"].map((label) => ({
    ...{ ...web, what: `another's ${label}`, said: { labels: { [label]: "admin" } } },
    doubts: "other-app",
  })),
  {
    ...{ ...nobody, what: "another app, and no service" },
    said: { service: "", labels: { app: "x" } },
    ...{ copy: "web-555555", workload: "web-555555", doubts: "other-app" },
  },
];

describe("who proves to be of ns/default/sa/web", () => {
  test.each(rows)("$what", ({ what: _, account = "web", said, doubts = "", ...expected }) => {
    const { judge } = judgeOf();
    // Domains of one mesh are one.
    for (const trustDomain of ["cluster.local", "former.local"]) {
      const proof = { id: idOf(account, "default", trustDomain), port: 80 };
      const { caller, doubts: found } = judge.judge(claim(said), proof);
      expect({
        service: caller?.service.replace(".svc.cluster.local", ""),
        copy: caller?.podName,
        workload: caller?.name,
        labels: Object.fromEntries(caller?.labels.entries() ?? []),
      }).toEqual(expected);
      expect(caller?.namespace).toBe("default");
      expect(found.join(" ")).toBe(doubts);
    }
  });

  test("is nobody else's namespace", () => {
    const { judge } = judgeOf();
    for (const said of [
      { namespace: "prod" },
      { namespace: "" },
      { namespace: "prod", service: "web.prod" },
    ])
      expect(judge.judge(claim(said), { id: idOf("web"), port: 80 })).toEqual({
        caller: undefined,
        doubts: ["other-namespace"],
      });
  });
});

test("who proves nothing is nobody, unless nobody could prove anything", () => {
  const said = claim({ service: "admin.default" });
  const proof = { id: undefined, port: 80 };
  expect(judgeOf().judge.judge(said, proof)).toEqual({ caller: undefined, doubts: ["unproved"] });
  const { caller, doubts } = judgeOf(known, false).judge.judge(said, proof);
  expect([caller?.service, doubts]).toEqual([host("admin.default"), []]);
});

describe("a connection", () => {
  const at = { address: "10.0.0.1", port: 1 };
  const tls = {
    ...{ version: "TLSv1.3", cipher: "", protocol: "mesh-h2", serverName: "" },
    peer: {
      ...{ verified: true, verdict: "", subject: "", sha256: "", notAfterMs: 0 },
      names: { dns: [], uris: [formatSpiffeId(idOf("web"))], uriCount: 1, addresses: [] },
    },
  };

  test("is judged when it is first asked about, and again by other knowledge if in doubt", () => {
    const { judge, counted, lines } = judgeOf();
    const said = claim({ service: "shop.default" });
    const of = () => new ConnectionFacts(at, at, tls, { claim: said, port: 80, judge });
    const [facts, unasked] = [of(), of()];
    expect(counted()).not.toContain("mesh_source_claims_doubted_total{");
    expect(facts.caller?.service).toBe("");
    expect(facts.caller).toBe(facts.caller!);
    // It has just been registered.
    judge.publish(mesh({ "shop.default": [instance("web-555555.default", "web")] }));
    expect(facts.caller?.service).toBe(host("shop.default"));
    expect(unasked.caller?.service).toBe(host("shop.default"));
    const believed = facts.caller;
    judge.publish(mesh({}));
    expect(facts.caller).toBe(believed!);
    expect(counted()).toContain('mesh_source_claims_doubted_total{reason="other-service"} 1\n');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("ns/default/sa/web");
    expect(lines[0]).toContain("shop.default.svc.cluster.local");
  });

  test("that lies as others do is counted, and said once in a while", () => {
    const { judge, clock, counted, lines } = judgeOf();
    const lie = (): void => {
      const word = { claim: claim({ service: "admin.default" }), port: 80, judge };
      expect(new ConnectionFacts(at, at, tls, word).caller?.service).toBe("");
    };
    for (let i = 0; i < 5; i++) lie();
    expect(lines).toHaveLength(1);
    clock.advance(10_000);
    lie();
    expect(lines).toHaveLength(2);
    expect(lines[1]).toContain("4");
    expect(counted()).toContain('mesh_source_claims_doubted_total{reason="other-service"} 6\n');
  });

  test("with nobody to judge it is believed unless it contradicts its certificate", () => {
    const of = (service: string, namespace: string, proved = true) => {
      const word = { claim: claim({ service, namespace }), port: 80, judge: undefined };
      return new ConnectionFacts(at, at, proved ? tls : undefined, word).caller;
    };
    expect(of("web.default", "default")?.service).toBe(host("web.default"));
    expect(of("", "default")).toBeDefined();
    expect(of("web.prod", "prod")).toBeUndefined();
    expect(of("admin.prod", "default")).toBeUndefined();
    expect(of("web.prod", "prod", false)).toBeDefined();
  });
});
