/** Who may do what, by roles and bindings. */
import { expect, test } from "bun:test";
import type { Dimensions } from "../policy/template.ts";
import { adapterEnvironment, openLocal, problemsOf } from "../testing/adapter-environment.ts";
import { rbac } from "./rbac.ts";

const parameters = `
roles:
- name: reader
  namespace: shop
  rules:
  - { services: [products*], methods: [GET, HEAD], paths: [/list, /item/*, "*.css"] }
  - { services: ["*"], methods: [OPTIONS] }
- name: canary-writer
  namespace: shop
  rules:
  - services: [products]
    methods: ["*"]
    constraints: [{ key: version, values: [v2, v3*] }, { key: region, values: ["*"] }]
- { name: nobody, namespace: shop, rules: [{ services: [secret], methods: ["*"] }] }
- { name: reader, namespace: bank, rules: [{ services: [accounts], methods: [GET] }] }
bindings:
- name: readers
  namespace: shop
  roleRef: { kind: ServiceRole, name: reader }
  subjects: [{ user: "*" }]
- name: writers
  namespace: shop
  roleRef: { kind: ServiceRole, name: canary-writer }
  subjects:
  - { user: alice }
  - { user: bob, group: staff }
  - { user: erin, group: "*" }
  - { properties: { namespace: jobs, app: import } }
  - { user: carol, properties: { app: admin } }
- name: readers
  namespace: bank
  roleRef: { name: reader }
  subjects: [{ groups: tellers }]
`;

const handler = openLocal(rbac, parameters);

/** "namespace service method path" of a subject; properties as "a=b". */
function ask(question: readonly string[]) {
  const [action = "", who = "", actionProperties = "", subjectProperties = ""] = question;
  const [namespace, service, method, path] = action.split(" ").map((part) => part.replace("-", ""));
  const [user, groups] = who.split("/");
  return handler.check!({
    template: "authorization",
    name: "a",
    subject: {
      ...(user && { user }),
      ...(groups && { groups }),
      properties: of(subjectProperties),
    },
    action: {
      ...(namespace && { namespace }),
      ...(service && { service }),
      ...(method && { method }),
      ...(path && { path }),
      properties: of(actionProperties),
    },
  });
}

function of(text: string): Dimensions {
  const pairs = text === "" ? [] : text.split(",").map((pair) => pair.split("="));
  return Object.fromEntries(pairs.map(([name, value = ""]) => [name, { type: "STRING", value }]));
}

test.each<[allowed: boolean, ...question: string[]]>([
  [true, "shop products GET /list"],
  [true, "shop products HEAD /list", "alice"],
  [false, "shop products POST /list"],
  [false, "shop products GET /lists"],
  [true, "shop products2 GET /item/"],
  [false, "shop product GET /item/1"],
  [false, "shop products GET /ite"],
  [true, "shop products GET /x/main.css"],
  [false, "shop products GET /main.css2"],
  [true, "shop cart OPTIONS /anything"],
  // What an action lacks, not even "*" stands for.
  [false, "- cart OPTIONS /a"],
  [false, "shop - OPTIONS /a"],
  [false, "shop products - /a", "alice", "version=v2,region=eu"],
  [false, "shop cart OPTIONS -"],
  // Constraints: all of them, each by one of its values.
  [true, "shop products POST /a", "alice", "version=v2,region=eu"],
  [true, "shop products POST /a", "alice", "version=v3.1,region="],
  [false, "shop products POST /a", "alice", "version=v22,region=eu"],
  [false, "shop products POST /a", "alice", "version=v2"],
  [false, "shop products POST /a", "alice"],
  // Of a subject all that is written has to be so.
  [false, "shop products POST /a", "dave", "version=v2,region=eu"],
  [false, "shop products POST /a", "", "version=v2,region=eu"],
  [false, "shop products POST /a", "bob", "version=v2,region=eu"],
  [true, "shop products POST /a", "bob/staff", "version=v2,region=eu"],
  [true, "shop products POST /a", "erin", "version=v2,region=eu"],
  [false, "shop products POST /a", "dave/staff", "version=v2,region=eu"],
  [true, "shop products POST /a", "", "version=v2,region=eu", "app=import,namespace=jobs"],
  [false, "shop products POST /a", "", "version=v2,region=eu", "app=import"],
  [false, "shop products POST /a", "", "version=v2,region=eu", "app=other,namespace=jobs"],
  [true, "shop products POST /a", "carol", "version=v2,region=eu", "app=admin"],
  [false, "shop products POST /a", "carol", "version=v2,region=eu", "app=user"],
  [false, "shop products POST /a", "dave", "version=v2,region=eu", "app=admin"],
  // A role without bindings is nobody's; roles of one namespace say nothing of another.
  [false, "shop secret GET /a", "alice"],
  [true, "bank accounts GET /a", "eve/tellers"],
  [false, "bank accounts GET /a", "alice"],
  [false, "bank products GET /list", "eve/tellers"],
  [false, "other products GET /list", "alice"],
  [false, "constructor products GET /list", "alice"],
])("%p: %p", (allowed, ...question) => {
  expect(ask(question)).toEqual({
    code: allowed ? 0 : 7,
    message: allowed ? "" : "RBAC: permission denied.",
    validDurationMs: 60_000,
    validUseCount: 1_000_000_000,
    isFault: false,
  });
});

test("a property that is no text meets no constraint", () => {
  const constraints = [{ key: "n", values: ["5", "*"] }];
  const rules = [{ services: ["*"], methods: ["*"], constraints }];
  const bound = { name: "b", namespace: "a", roleRef: { name: "r" }, subjects: [{ user: "*" }] };
  const roles = [{ name: "r", namespace: "a", rules }];
  const checker = openLocal(rbac, { roles, bindings: [bound], cacheDuration: "5s" });
  const action = { namespace: "a", service: "s", method: "GET", path: "/" };
  const asked = (properties: Dimensions) =>
    checker.check!({ template: "authorization", name: "a", action: { ...action, properties } });
  expect(asked({ n: { type: "INT64", value: 5 } })).toMatchObject({
    code: 7,
    validDurationMs: 5e3,
  });
  expect(asked({ n: { type: "STRING", value: "5" } }).code).toBe(0);
  expect(checker.check!({ template: "authorization", name: "a" }).code).toBe(7);
  expect(checker.check!({ template: "checknothing", name: "a" }).isFault).toBe(true);
});

const rules = [{ services: ["*"], methods: ["*"] }];
const role = { name: "r", namespace: "a", rules };
const binding = { name: "b", namespace: "a", roleRef: { name: "r" }, subjects: [{ user: "*" }] };
test.each<[parameters: object, problems: string[]]>([
  [{ roles: [role], bindings: [binding] }, []],
  [{ roles: [], bindings: [] }, []],
  [{}, ["roles: must be given"]],
  [
    { configStoreUrl: "k8s://", roles: [] },
    ["configStoreUrl: is not read here (write roles and bindings in its place)"],
  ],
  [
    { roles: [role, role], bindings: [binding, binding] },
    [
      'roles[1].name: "r" is given twice in its namespace',
      'bindings[1].name: "b" is given twice in its namespace',
    ],
  ],
  [{ roles: [role, { ...role, namespace: "b" }] }, []],
  [
    { roles: [{ rules: [{ paths: ["/"], constraints: [{}] }] }] },
    [
      "roles[0].rules[0].services: must be given",
      "roles[0].rules[0].methods: must be given",
      "roles[0].rules[0].constraints[0].key: must be given",
      "roles[0].rules[0].constraints[0].values: must be given",
      "roles[0].name: must be given",
      "roles[0].namespace: must be given",
    ],
  ],
  [{ roles: [{ name: "r", namespace: "a" }] }, ["roles[0].rules: must be given"]],
  [
    { roles: [role], bindings: [{ ...binding, namespace: "b" }] },
    ["bindings[0].roleRef.name: there is no role r in namespace b"],
  ],
  [
    { roles: [role], bindings: [{ ...binding, subjects: [{ user: "" }] }] },
    ["bindings[0].subjects[0]: needs a user, a group or properties: it is nobody"],
  ],
  [
    { roles: [role], bindings: [{ name: "b", namespace: "a", roleRef: { kind: "Role" } }] },
    [
      'bindings[0].roleRef.kind: must be one of ServiceRole, not "Role"',
      "bindings[0].subjects: must be given",
      "bindings[0].roleRef.name: must be given",
    ],
  ],
])("%j: %j", (written, problems) => {
  expect(problemsOf(rbac, written)).toEqual(problems);
});

test("it answers from its own configuration and starts nothing", () => {
  const environment = adapterEnvironment();
  const one = openLocal(rbac, { roles: [] }, environment);
  one.close();
  one.close();
  expect(environment.lines).toEqual([]);
});
