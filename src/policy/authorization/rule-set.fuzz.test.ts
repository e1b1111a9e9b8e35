/**
 * Rules that are found by their keys against the same rules walked one after another: by chance,
 * from a small world in which nearly everything collides. The seed is printed on a failure.
 */
import { expect, test } from "bun:test";
import { seededRandom } from "../../core/random.ts";
import {
  type FactsSample,
  factsSample,
  type PolicySample,
  policySample,
} from "../../testing/access-sample.ts";
import { compileRule } from "./compile-rule.ts";
import { RuleSet } from "./rule-set.ts";

const seed = Number(process.env.SEED ?? 20_261_128);
const trustDomains = ["td", "old"];

const paths = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/b/a", "/aa", "*"];
const texts = {
  principals: [
    "td/ns/a/sa/x",
    "td/ns/a/sa/y",
    "td/ns/b/sa/x",
    "old/ns/a/sa/x",
    "td/ns/a/*",
    "*/x",
    "*",
  ],
  namespaces: ["a", "b", "a*", "*"],
  serviceAccounts: ["a/x", "a/y", "b/x"],
  requestPrincipals: ["i/s", "i/t", "j/s", "i/*", "*/s", "*"],
  methods: ["GET", "PUT", "P*", "*"],
  hosts: ["h", "h:1", "H:2", "i", "h*", "*i", "*:1", "*"],
  paths: [
    ...paths,
    "/a/*",
    "/a*",
    "/*",
    "*/b",
    "*a",
    "*b/c",
    "/a/{*}",
    "/a/{**}",
    "/{*}/b",
    "/{**}/c",
  ],
  ports: ["1", "2"],
} as const;

const rounds = 400;
const asked = 60;

test("whatever the rules, the first that matches is found", () => {
  const random = seededRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const some = (list: readonly string[]): string[] =>
    Array.from({ length: 1 + Math.floor(random() * 3) }, () => pick(list));
  const fields = (names: readonly (keyof typeof texts)[]): Record<string, string[]> => {
    const made: Record<string, string[]> = {};
    for (const name of names) {
      if (random() < 0.35) made[name] = some(texts[name]);
      const not = `not${name[0]!.toUpperCase()}${name.slice(1)}`;
      if (random() < 0.1) made[not] = some(texts[name]);
    }
    return made;
  };
  const list = <T>(make: () => T): T[] => Array.from({ length: Math.floor(random() * 3) }, make);
  const rule = () => ({
    from: list(() => fields(["principals", "namespaces", "serviceAccounts", "requestPrincipals"])),
    to: list(() => fields(["methods", "hosts", "paths", "ports"])),
    when: list(() => {
      const [key, of] = pick([
        ["source.principal", texts.principals],
        ["source.namespace", texts.namespaces],
        ["source.serviceAccount", texts.serviceAccounts],
        ["request.auth.principal", texts.requestPrincipals],
        ["request.headers[x]", texts.methods],
      ] as const);
      return random() < 0.8 ? { key, values: some(of) } : { key, notValues: some(of) };
    }).slice(0, 1),
  });
  const facts = (): FactsSample => ({
    principal: pick(["", "td/ns/a/sa/x", "td/ns/a/sa/y", "td/ns/b/sa/x", "old/ns/a/sa/x"]),
    host: pick(["h", "H:1", "h:3", "i", "i:2", "hi", ""]),
    method: pick(["GET", "PUT", "POST", "X"]),
    path: pick(paths),
    port: pick([1, 2, 3]),
    ...(random() < 0.6 ? { token: { iss: pick(["i", "j"]), sub: pick(["s", "t"]) } } : {}),
    ...(random() < 0.5 ? { headers: { x: pick(["GET", "P", ""]) } } : {}),
  });
  for (let round = 0; round < rounds; round++) {
    const isTcp = random() < 0.25;
    const sample = { rules: Array.from({ length: 1 + Math.floor(random() * 40) }, rule) };
    const policy = policySample({ ...sample, action: "DENY" } as PolicySample);
    const problem = (path: string, message: string): never => {
      throw new Error(`${path}: ${message}`);
    };
    const rules = policy.rules.flatMap(
      (one) => compileRule(one, { isTcp, action: policy.action, trustDomains, problem }) ?? [],
    );
    const set = new RuleSet(rules);
    for (let i = 0; i < asked; i++) {
      const sampleFacts = facts();
      const about = factsSample(sampleFacts);
      const walked = rules.findIndex(({ matches }) => matches(about));
      const found = set.find(about);
      const at = found === undefined ? -1 : rules.indexOf(found);
      if (at !== walked)
        expect({ seed, round, isTcp, facts: sampleFacts, found: at }).toEqual({
          ...{ seed, round, isTcp, facts: sampleFacts, found: walked },
        });
    }
  }
});

test("a thousand rules are found as fast as ten", () => {
  const make = (count: number) => {
    const rules = Array.from({ length: count }, (_, i) => ({
      from: [{ principals: [`td/ns/n${i % 50}/sa/s${i}`] }],
      to: [{ methods: ["GET"], paths: [`/api/v1/thing${i}/*`] }],
    }));
    const policy = policySample({ rules });
    const context = { isTcp: false, action: policy.action, trustDomains, problem: () => {} };
    return new RuleSet(policy.rules.flatMap((one) => compileRule(one, context) ?? []));
  };
  let walked = 0;
  const counting = <T extends { matches: (facts: never) => boolean }>(set: {
    rules: readonly T[];
  }) =>
    set.rules.map((rule) => ({
      ...rule,
      matches: (facts: never) => {
        walked++;
        return rule.matches(facts);
      },
    }));
  const set = new RuleSet(counting(make(1_000)) as never[]);
  set.find(factsSample({ principal: "td/ns/n7/sa/s907", path: "/api/v1/thing907/x" }));
  set.find(factsSample({ principal: "td/ns/n7/sa/other", path: "/api/v1/thing907/x" }));
  expect(walked).toBe(1);
});
