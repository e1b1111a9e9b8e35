/** Policies of a manager that knows more than this proxy: nobody is let in by what is not read. */
import { expect, test } from "bun:test";
import { factsSample, type PolicySample, policySample } from "../../testing/access-sample.ts";
import { compileAuthorization } from "./compile-authorization.ts";

type Policy = ReturnType<typeof policySample>;

const WEB = "cluster.local/ns/default/sa/web";
const context = { trustDomains: ["cluster.local"], providers: new Set<string>() };
/** A field of a number that nobody has given to one yet. */
const $unknown = [{ no: 9_999, wireType: 2, data: new Uint8Array([1, 97]) }];
const rules = [{ from: [{ principals: [WEB] }], to: [{ ports: ["9080"] }] }];

function isAllowed(sample: PolicySample, spoil: (policy: Policy) => void): boolean | undefined {
  const policy = policySample(sample);
  spoil(policy);
  const { http, problems } = compileAuthorization([policy], context);
  expect(problems).toEqual([]);
  return http?.decide(factsSample({ principal: WEB })).allowed;
}

const parts: readonly (readonly [what: string, part: (policy: Policy) => object])[] = [
  ["a rule", (policy) => policy.rules[0]!],
  ["a source", (policy) => policy.rules[0]!.from[0]!],
  ["an operation", (policy) => policy.rules[0]!.to[0]!],
];

test.each(parts)("what %s has more may narrow it: ALLOW does not match, DENY does", (_, part) => {
  const spoil = (policy: Policy): void => void Object.assign(part(policy), { $unknown });
  expect(isAllowed({ rules }, () => {})).toBe(true);
  expect(isAllowed({ rules }, spoil)).toBe(false);
  expect(isAllowed({ action: "DENY", rules }, spoil)).toBe(false);
});

test("an action that is not known refuses the policy, and all that came with it", () => {
  const policy = Object.assign(policySample({ rules }), { action: 99 });
  const { problems } = compileAuthorization([policy], context);
  expect(problems.map(({ message }) => message)).toEqual(["action 99 is not known here"]);
});
