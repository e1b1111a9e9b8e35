/** What a workload may say of itself, and what it may not say of others. */
import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { Node_Mode, NodeSchema, WorkloadSchema } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { type Principal, whoText } from "../../api/principal.ts";
import { accountOf, foreignNode, foreignWorkload } from "./own-identity.ts";

const OPTIONS = {
  domain: "cluster.local",
  standing: {
    servicesOf: (identity: string) =>
      identity.endsWith("/sa/bookinfo") ? ["ratings.default", "mysql.example.com"] : [],
  },
};

/** As a proxy of its own would make it up. */
function idOf(who: Principal): string {
  const [, namespace, account] = /ns\/(.*)\/sa\/(.*)$/.exec(whoText(who)) ?? [];
  return `${account}-1x8k2m.${namespace}`;
}

function workload(path: string): Principal {
  const certificate = { serial: "", sha256: "", notAfterMs: 0, root: "" };
  return { kind: "workload", identity: `spiffe://cluster.local/${path}`, certificate };
}

const reviews = workload("ns/default/sa/reviews");
const bookinfo = workload("ns/default/sa/bookinfo");
const elsewhere = workload("ns/other/sa/reviews");
const mixer = workload("ns/mesh-system/sa/mesh-mixer");

interface Said {
  readonly service?: string;
  readonly namespace?: string;
  readonly mode?: Node_Mode;
}

const nodes: readonly (readonly [who: Principal, said: Said, own: boolean])[] = [
  [reviews, { service: "reviews.default", namespace: "default" }, true],
  [reviews, { service: "reviews", namespace: "default" }, true],
  [reviews, { service: "Reviews.Default.svc.cluster.local", namespace: "default" }, true],
  [reviews, { service: "reviews.default", namespace: "" }, true],
  [reviews, { service: "", namespace: "default" }, true],
  [reviews, { service: "ratings.default", namespace: "default" }, false],
  [reviews, { service: "reviews.other", namespace: "default" }, false],
  [reviews, { service: "reviews.default", namespace: "other" }, false],
  [reviews, { service: "reviews", namespace: "other" }, false],
  [reviews, { service: "", namespace: "other" }, false],
  [reviews, { service: "reviews.default.svc.other", namespace: "default" }, false],
  [reviews, { service: "x.reviews.default.svc.cluster.local", namespace: "default" }, false],
  // What names no namespace is read as of "default", whoever says it.
  [elsewhere, { service: "reviews", namespace: "" }, false],
  [elsewhere, { service: "", namespace: "" }, false],
  [elsewhere, { service: "mysql.example.com", namespace: "" }, false],
  [elsewhere, { service: "reviews.other", namespace: "" }, true],
  [elsewhere, { service: "reviews", namespace: "other" }, true],
  [bookinfo, { service: "ratings.default", namespace: "default" }, true],
  [bookinfo, { service: "mysql.example.com", namespace: "default" }, true],
  [bookinfo, { service: "reviews.default", namespace: "default" }, false],
  [reviews, { service: "reviews.default", namespace: "default", mode: Node_Mode.GATEWAY }, true],
  [reviews, { service: "", namespace: "default", mode: Node_Mode.MIXER }, false],
  [mixer, { service: "", namespace: "mesh-system", mode: Node_Mode.MIXER }, true],
  [mixer, { service: "", namespace: "default", mode: Node_Mode.MIXER }, true],
  [mixer, { service: "", namespace: "default", mode: Node_Mode.SIDECAR }, false],
  [{ kind: "local", uid: 0 }, { service: "ratings.default", mode: Node_Mode.MIXER }, true],
];

test.each(nodes)("%j as proxy of %j: %p", (who, said, own) => {
  const node = create(NodeSchema, { id: idOf(who), ...said });
  expect(foreignNode(who, node, OPTIONS) === undefined).toBe(own);
});

test("a registration without a namespace is of the service that it is kept under", () => {
  const of = (said: object) =>
    foreignWorkload(elsewhere, create(WorkloadSchema, { id: idOf(elsewhere), ...said }), OPTIONS);
  expect(of({ service: "reviews" })).toContain("is not of namespace default");
  expect(of({ service: "reviews.other" })).toBeUndefined();
  expect(of({ service: "reviews", namespace: "other" })).toBeUndefined();
});

test("a registration is of its own account, and so is its proxy", () => {
  const of = (said: object) =>
    foreignWorkload(reviews, create(WorkloadSchema, { id: idOf(reviews), ...said }), OPTIONS);
  const service = "reviews.default";
  expect(of({ service })).toBeUndefined();
  expect(of({ service, serviceAccount: "reviews" })).toBeUndefined();
  expect(of({ service, serviceAccount: "default/reviews" })).toBeUndefined();
  expect(of({ service, serviceAccount: "other/reviews" })).toContain("is not the account");
  expect(of({ service, serviceAccount: "admin" })).toContain("is not the account admin");
  expect(of({ service: "ratings.default" })).toContain("is not the service ratings.default");
  const node = { id: idOf(reviews), namespace: "default" };
  expect(of({ service, node: { ...node, service } })).toBeUndefined();
  expect(of({ service, node: { ...node, service: "ratings" } })).toContain("is not the service");
  expect([accountOf(reviews), accountOf({ kind: "local", uid: 0 })]).toEqual(["reviews", ""]);
});

const ids: readonly (readonly [who: Principal, service: string, id: string, own: boolean])[] = [
  [reviews, "reviews.default", "reviews-1x8k2m.default", true],
  [reviews, "reviews.default", "Reviews-1x8k2m.default", true],
  [reviews, "reviews.default", "reviews.default", true],
  [reviews, "reviews.default", "reviews-v1-7d9f5-x2x4z.default", true],
  [reviews, "reviews.default", "reviews-0.default", true],
  [reviews, "reviews.default", "ratings-1x8k2m.default", false],
  [reviews, "reviews.default", "ratings-0.default", false],
  [reviews, "reviews.default", "reviews-1x8k2m.other", false],
  [reviews, "reviews.default", "reviews-1x8k2m.other.default", true],
  [reviews, "reviews.default", "reviews-1x8k2m", false],
  [reviews, "reviews.default", "reviews-.default", true],
  [reviews, "reviews.default", "reviewsx-1x8k2m.default", false],
  // Of reviews-admin, by its form.
  [reviews, "reviews.default", "reviews-admin-1x8k2m.default", false],
  [reviews, "reviews.default", "", false],
  [reviews, "reviews.default", ".default", false],
  [bookinfo, "ratings.default", "ratings-1x8k2m.default", true],
  [bookinfo, "ratings.default", "bookinfo-1x8k2m.default", true],
  [bookinfo, "mysql.example.com", "mysql-1x8k2m.default", true],
  [bookinfo, "ratings.default", "reviews-1x8k2m.default", false],
  // Who stands for no service.
  [reviews, "", "proxy-1x8k2m.default", true],
  [reviews, "", "gateway-1x8k2m.default", true],
  [reviews, "", "gateway-1x8k2m.other", false],
  [reviews, "", "reviews-1x8k2m.default", true],
  [reviews, "", "ratings-1x8k2m.default", false],
  [reviews, "reviews.default", "gateway-1x8k2m.default", false],
  [mixer, "", "mixer-host", false],
  [{ kind: "local", uid: 0 }, "", "any", true],
];

test.each(ids)("%j for %p is called %p: %p", (who, service, id, own) => {
  const namespace = who === mixer ? "mesh-system" : "default";
  const foreign = ownIdentityOf(who, { id, service, namespace });
  expect(foreign.map((one) => one === undefined)).toEqual([own, own, own]);
});

/** As a proxy, as a registration, and as what comes with one. */
function ownIdentityOf(who: Principal, said: { id: string; service: string; namespace: string }) {
  const node = create(NodeSchema, said);
  const workload = { id: idOf(who), service: said.service, namespace: said.namespace };
  return [
    foreignNode(who, node, OPTIONS),
    foreignWorkload(who, create(WorkloadSchema, said), OPTIONS),
    foreignWorkload(who, create(WorkloadSchema, { ...workload, node }), OPTIONS),
  ];
}

test("a mixer is called as it likes", () => {
  const said = { id: "mixer-host", namespace: "mesh-system", mode: Node_Mode.MIXER };
  expect(foreignNode(mixer, create(NodeSchema, said), OPTIONS)).toBeUndefined();
});
