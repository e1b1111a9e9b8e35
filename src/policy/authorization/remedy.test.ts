/** What would let a refused request in, in an operator's words. */
import { expect, test } from "bun:test";
import {
  type FactsSample,
  factsSample,
  type PolicySample,
  policySample,
} from "../../testing/access-sample.ts";
import { compileAuthorization } from "./compile-authorization.ts";
import { remediesOf } from "./remedy.ts";

const trustDomains = ["cluster.local"];
const WEB = "cluster.local/ns/default/sa/web";

function remedies(samples: readonly PolicySample[], facts: FactsSample, isTcp = false) {
  const policies = samples.map(policySample);
  const compiled = compileAuthorization(policies, { trustDomains, providers: new Set() });
  const about = factsSample(facts);
  const decision = (isTcp ? compiled.tcp : compiled.http)!.decide(about);
  expect(decision.allowed).toBe(false);
  return remediesOf(decision, policies, about, { isTcp, trustDomains });
}

const allowWeb: PolicySample = {
  name: "web",
  rules: [
    {
      from: [{ principals: [WEB] }],
      to: [{ methods: ["GET"], paths: ["/a*"] }, { ports: ["1"] }],
      when: [{ key: "request.headers[x-tier]", values: ["gold"], notValues: ["lead"] }],
    },
  ],
};
const NAME = "AuthorizationPolicy/default";

test.each<[string, readonly PolicySample[], FactsSample, readonly string[]]>([
  [
    "who, where it could be reached by the rest",
    [allowWeb],
    { path: "/a", headers: { "x-tier": "gold" } },
    [`${NAME}/web rule 0 (rules.yaml:3) would allow it with principals ${WEB}`],
  ],
  [
    "the alternative that misses least, and all else",
    [allowWeb],
    { principal: WEB, path: "/a", method: "PUT" },
    [
      `${NAME}/web rule 0 (rules.yaml:3) would allow it with methods GET and ` +
        "request.headers[x-tier] gold and not lead",
    ],
  ],
  [
    "the rule that is nearest of several",
    [allowWeb, { name: "near", rules: [{ to: [{ paths: ["/x"] }] }, { to: [{ paths: ["/y"] }] }] }],
    {},
    [
      `${NAME}/near rule 0 (rules.yaml:3) would allow it with paths /x`,
      `${NAME}/near rule 1 (rules.yaml:3) would allow it with paths /y`,
    ],
  ],
  [
    "that there is no rule at all",
    [{ name: "nothing" }],
    {},
    ["a policy of ALLOW would need a rule for it: none has any"],
  ],
  [
    "what a rule of DENY says",
    [{ name: "d", action: "DENY", rules: [{}, { to: [{ paths: ["/"] }] }].slice(1) }],
    {},
    [`it would have to differ from what ${NAME}/d rule 0 (rules.yaml:3) says: to paths /`],
  ],
  [
    "policies of a dry run count for nothing",
    [{ name: "n" }, { ...allowWeb, dryRun: true }],
    {},
    ["a policy of ALLOW would need a rule for it: none has any"],
  ],
])("%s", (_, policies, facts, said) => {
  expect(remedies(policies, facts)).toEqual(said as string[]);
});

test("a connection has no request, whatever it does", () => {
  const said = remedies([allowWeb], { principal: WEB, port: 1 }, true);
  expect(said[0]).toContain("request.headers[x-tier]");
});
