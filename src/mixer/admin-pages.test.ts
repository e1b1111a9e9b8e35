/** What an operator on the mixer's host is told, and may change. */
import { afterEach, expect, test } from "bun:test";
import { Log } from "../core/log.ts";
import { check, closing, entry, mixerWith } from "../testing/mixer-calls.ts";
import { adminFetch } from "./admin-pages.ts";

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const rules = `
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: no-bob, namespace: default }
spec:
  match: source.user == "bob"
  actions:
  - handler: { compiledAdapter: denier }
    instances: [{ compiledTemplate: checknothing }]
---
apiVersion: config.istio.io/v1alpha2
kind: rule
metadata: { name: broken, namespace: default }
spec:
  match: source.usr == "bob"
  actions:
  - handler: { compiledAdapter: denier }
    instances: [{ compiledTemplate: checknothing }]
`;

function admin(text = rules) {
  const { mixer } = mixerWith(text);
  const log = new Log("test", { level: "error" }, () => {});
  const fetch = adminFetch({ id: "mixer-1", mixer, log, discovery: () => undefined });
  const ask = async (path: string, init: RequestInit = {}) => {
    const headers = { host: "127.0.0.1:9876", ...init.headers };
    const answer = await fetch(new Request(`http://127.0.0.1:9876${path}`, { ...init, headers }));
    return { status: answer.status, text: await answer.text() };
  };
  return { mixer, log, ask };
}

test("which rules are in force and what they did here; what is wrong with the others", async () => {
  const { mixer, ask } = admin();
  await check(mixer, { attributes: entry("bob", undefined) });
  const { text } = await ask("/policy");
  expect(text).toContain('no-bob.rule.default::match::source.user == "bob"\n');
  expect(text).toContain("no-bob.rule.default::matched::0\n");
  expect(text).toContain("problems (left out):\n");
  expect(text).toMatch(/rules\.yaml:\d+:\d+: .*source\.usr/);
  const told = JSON.parse((await ask("/policy?format=json")).text);
  expect([told.by, told.rules.length, told.rules[0].concerns]).toEqual(["mixer", 1, true]);
});

test("each rule counts what the mixer itself was asked", async () => {
  const { mixer, ask } = admin(rules.replaceAll("default", "istio-system"));
  await check(mixer, { attributes: entry("bob", undefined) });
  const told = JSON.parse((await ask("/policy?format=json")).text);
  expect(told.rules[0].figures).toMatchObject({ matched: 1, denied: 1 });
});

test("before there is any policy there are no rules", async () => {
  const { ask } = admin("");
  expect((await ask("/policy")).text).toBe("no rules\n");
});

test("the configuration, for mesh ctl config", async () => {
  const { ask } = admin();
  const dump = JSON.parse((await ask("/config_dump")).text);
  expect(dump).toMatchObject({ node: { id: "mixer-1" }, config: { policy: { rules: [{}, {}] } } });
});

test("metrics and readiness as on their own port", async () => {
  const { ask } = admin();
  expect((await ask("/metrics")).text).toContain("mixer_config_rule_configs_total 2\n");
  expect(await ask("/ready")).toEqual({ status: 200, text: "ready\n" });
  expect((await ask("/healthz")).text).toBe("ok\n");
  expect((await ask("/")).text).toMatch(/^mesh mixer administration\n\nGET +\/config_dump /);
});

test("how much the log tells", async () => {
  const { ask, log } = admin();
  expect((await ask("/logging")).text).toBe("level: error\n");
  expect(await ask("/logging?level=debug", { method: "POST" })).toMatchObject({ status: 200 });
  expect(log.level).toBe("debug");
  expect(await ask("/logging?level=loud", { method: "POST" })).toMatchObject({ status: 400 });
});

test("only the operator on this host is answered", async () => {
  const { ask } = admin();
  const host = { headers: { host: "evil.example" } };
  expect((await ask("/policy", host)).status).toBe(403);
  const page = { headers: { origin: "http://evil.example" }, method: "POST" };
  expect((await ask("/logging?level=debug", page)).status).toBe(403);
});
