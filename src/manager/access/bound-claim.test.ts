/** What a workload says of itself beside its name, and what its certificate was issued on. */
import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { Node_Mode, NodeSchema, WorkloadSchema } from "../../api/gen/mesh/v1/discovery_pb.ts";
import type { Principal } from "../../api/principal.ts";
import { boundNode, boundWorkload } from "./bound-claim.ts";
import type { WorkloadGrant } from "./credential.ts";

const identity = "spiffe://cluster.local/ns/default/sa/reviews";
const certificate = { serial: "0A", sha256: "", notAfterMs: 0, root: "" };
const reviews: Principal = { kind: "workload", identity, certificate };
const local: Principal = { kind: "local", uid: 0 };
type Labels = Readonly<Record<string, string>>;

const standing = (grant: WorkloadGrant) => ({ grantOf: () => grant });

const modes: readonly (readonly [who: Principal, granted: "sidecar" | "gateway", own: string])[] = [
  [reviews, "sidecar", "UNSPECIFIED SIDECAR MIXER"],
  [reviews, "gateway", "UNSPECIFIED SIDECAR GATEWAY MIXER"],
  [local, "sidecar", "UNSPECIFIED SIDECAR GATEWAY MIXER"],
];

// Who is a mixer, the identity says: see own-identity.test.ts.
test.each(modes)("%j with a certificate of a %s may be %s", (who, mode, own) => {
  const may = [Node_Mode.UNSPECIFIED, Node_Mode.SIDECAR, Node_Mode.GATEWAY, Node_Mode.MIXER].filter(
    (one) => {
      const node = create(NodeSchema, { id: "p", mode: one });
      return boundNode(who, node, standing({ mode, labels: {} })).at === "bound";
    },
  );
  expect(may.map((one) => Node_Mode[one]).join(" ")).toBe(own);
});

const v1 = { app: "reviews", version: "v1" };
const labels: readonly (readonly [bound: Labels, said: Labels, become: Labels | string])[] = [
  [{}, { version: "v9", any: "" }, { version: "v9", any: "" }],
  [v1, {}, v1],
  [v1, v1, v1],
  [v1, { version: "v1" }, v1],
  [v1, { ...v1, version: "v2" }, "app=reviews, version=v1, and not as version=v2"],
  [v1, { version: "" }, "not as version="],
  [v1, { ...v1, canary: "true" }, "not as canary=true"],
  [v1, { Version: "v1" }, "not as Version=v1"],
  [v1, { version: "v2", canary: "true" }, "not as canary=true, version=v2"],
  [v1, { constructor: "v1" }, "not as constructor=v1"],
  [{ version: "" }, {}, { version: "" }],
  [{ version: "" }, { version: "v1" }, "joined as version=, and not as version=v1"],
];

test.each(labels)("bound to %j and said to be %j", (bound, said, become) => {
  const by = standing({ mode: "sidecar", labels: bound });
  const node = create(NodeSchema, { id: "p", labels: said });
  const workload = create(WorkloadSchema, { id: "w", labels: said });
  const results = [
    boundNode(reviews, node, by),
    boundWorkload(reviews, workload, by),
    // What comes with it is held against the same.
    boundWorkload(reviews, create(WorkloadSchema, { id: "w", node }), by),
  ];
  for (const result of results) {
    if (typeof become === "string")
      expect(result).toEqual({ at: "foreign", why: expect.stringContaining(become) });
    else if (result.at === "foreign") throw new Error(result.why);
    else if (result !== results[2]) expect(result.said.labels).toEqual({ ...become });
  }
  expect(boundNode(local, node, by)).toEqual({ at: "bound", said: node });
  expect(boundWorkload(local, workload, by)).toEqual({ at: "bound", said: workload });
});

test("a registration's proxy gets the labels, too, and is no gateway", () => {
  const by = standing({ mode: "sidecar", labels: v1 });
  const node = { id: "p" };
  const result = boundWorkload(reviews, create(WorkloadSchema, { id: "w", node }), by);
  expect(result).toMatchObject({ at: "bound", said: { labels: v1, node: { labels: v1 } } });
  const gateway = create(WorkloadSchema, { id: "w", node: { id: "p", mode: Node_Mode.GATEWAY } });
  expect(boundWorkload(reviews, gateway, by)).toMatchObject({ at: "foreign" });
});
