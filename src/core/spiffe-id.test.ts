/** Names of workloads: what is one, and what only looks like one. */
import { expect, test } from "bun:test";
import { formatSpiffeId, inTrustDomains, parseSpiffeId, trustDomainOf } from "./spiffe-id.ts";

test("an id says trust domain, namespace and service account", () => {
  const text = "spiffe://cluster.local/ns/default/sa/reviews";
  const id = { trustDomain: "cluster.local", namespace: "default", account: "reviews" };
  expect(parseSpiffeId(text)).toEqual(id);
  expect(formatSpiffeId(id)).toBe(text);
  expect(parseSpiffeId("spiffe://td.x-1/ns/a.b/sa/C_d.e")).toEqual({
    trustDomain: "td.x-1",
    namespace: "a.b",
    account: "C_d.e",
  });
});

const strangers: readonly (readonly [text: string, why: string])[] = [
  ["", "nothing"],
  ["cluster.local/ns/a/sa/b", "no scheme"],
  ["SPIFFE://cluster.local/ns/a/sa/b", "one way to write the scheme"],
  ["spiffe:/cluster.local/ns/a/sa/b", "one slash"],
  ["https://cluster.local/ns/a/sa/b", "another scheme"],
  ["spiffe:///ns/a/sa/b", "no trust domain"],
  ["spiffe://Cluster.local/ns/a/sa/b", "a capital in the trust domain"],
  ["spiffe://cluster.local:443/ns/a/sa/b", "a port"],
  ["spiffe://user@cluster.local/ns/a/sa/b", "a user"],
  [`spiffe://${"a".repeat(256)}/ns/a/sa/b`, "a trust domain of 256 bytes"],
  ["spiffe://cluster.local/ns//sa/b", "no namespace"],
  ["spiffe://cluster.local/ns/a/sa/", "no account"],
  ["spiffe://cluster.local/ns/a/sa/b/", "a slash behind"],
  ["spiffe://cluster.local/ns/a/sa/b/c", "a further segment"],
  ["spiffe://cluster.local/ns/a/sa", "too short"],
  ["spiffe://cluster.local/na/a/sa/b", "other words"],
  ["spiffe://cluster.local/ns/a/so/b", "other words"],
  ["spiffe://cluster.local/ns/../sa/b", "a dot segment"],
  ["spiffe://cluster.local/ns/a/sa/.", "a dot segment"],
  ["spiffe://cluster.local/ns/a%2f/sa/b", "a percent sign"],
  ["spiffe://cluster.local/ns/a/sa/b?c=d", "a query"],
  ["spiffe://cluster.local/ns/a/sa/b#c", "a fragment"],
  ["spiffe://cluster.local/ns/a/sa/b\n", "a line break behind"],
  ["spiffe://cluster.local/ns/a/sa/b\0", "a NUL behind"],
  [" spiffe://cluster.local/ns/a/sa/b", "a blank before"],
  ["spiffe://cluster.local/ns/a/sa/ä", "not ASCII"],
  [`spiffe://cluster.local/ns/a/sa/${"b".repeat(2_048)}`, "longer than ids may be"],
];

test.each(strangers.map(([text, why]) => [text.slice(0, 60), why, text]))(
  "%j is no id: %s",
  (_start, _why, text) => {
    expect(parseSpiffeId(text)).toBeUndefined();
  },
);

test("a domain has its name in the form of ids", () => {
  expect(trustDomainOf("Kube-Id@Proj.iam.example.com")).toBe("kube-id.proj.iam.example.com");
});

test("an id counts in every domain that is an alias", () => {
  const ids = ["spiffe://cluster.local/ns/a/sa/b", "spiffe://cluster.local/custom", "text"];
  expect([...inTrustDomains(ids, ["old", "cluster.local"])]).toEqual([
    ...ids,
    "spiffe://old/ns/a/sa/b",
  ]);
});
