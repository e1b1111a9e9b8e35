/** Policy is judged where it is applied: with what is stored, and what it would break there. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { ApplyMode, ConfigService, StatusService } from "../../api/gen/mesh/v1/config_pb.ts";
import { problemFromMessage } from "../../api/problem.ts";
import { systemClock } from "../../core/clock.ts";
import { Log } from "../../core/log.ts";
import { formatProblem } from "../../core/problem.ts";
import { Manager } from "../manager.ts";
import { forgetfulWorkloadStore } from "../registry/workload-store.ts";
import { DirectoryStore } from "../store/directory-store.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { apiRoutes } from "./routes.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** `kept`: a file that the manager reads itself. */
async function open(kept?: string) {
  const [namespace, domain] = ["default", "cluster.local"];
  const directory = mkdtempSync(join(tmpdir(), "mesh-policy-"));
  if (kept !== undefined) writeFileSync(join(directory, "kept.yaml"), kept);
  const lines: string[] = [];
  const manager = await Manager.open({
    clock: systemClock,
    log: new Log("manager", { level: "error" }, (line) => lines.push(line)),
    store: new MemoryStore(systemClock),
    files: new DirectoryStore({ paths: [directory], namespace, domain }),
    workloads: forgetfulWorkloadStore,
    namespace,
    domain,
    leaseMs: 10_000,
  });
  closing.push(
    () => rmSync(directory, { recursive: true }),
    () => manager.close(),
  );
  const transport = createRouterTransport(apiRoutes(manager));
  const config = createClient(ConfigService, transport);
  const status = createClient(StatusService, transport);
  const apply = async (text: string, dryRun = false) => {
    const documents = [{ file: "put.yaml", text }];
    const { problems } = await config.apply({ documents, mode: ApplyMode.APPLY, dryRun });
    return problems.map((problem) => formatProblem(problemFromMessage(problem)));
  };
  const names = async () => (await config.list({})).objects.map(({ name }) => name).sort();
  const told = async () => (await status.listProblems({})).problems.map(({ message }) => message);
  return { apply, names, told, lines };
}

const document = (kind: string, name: string, spec: string): string =>
  `apiVersion: config.istio.io/v1alpha2
kind: ${kind}
metadata: { name: ${name} }
spec: ${spec}
`;
const deny = document("handler", "deny", "{ compiledAdapter: denier }");
const nothing = document("instance", "nothing", "{ compiledTemplate: checknothing }");
const rule = (match: string, handler = "deny"): string =>
  document(
    "rule",
    "closed",
    `\n  match: ${match}\n  actions: [{ handler: ${handler}, instances: [nothing] }]`,
  );
const all = (...documents: readonly string[]): string => documents.join("---\n");
const fine = all(deny, nothing, rule('request.path == "/a"'));

describe("what is applied", () => {
  const refusals: readonly (readonly [title: string, text: string, told: readonly string[]])[] = [
    [
      "a text without quotation marks",
      rule("request.path == reviews"),
      ['put.yaml:5:26: spec.match: unknown attribute reviews (write "reviews" if it is a text)'],
    ],
    [
      "a name that leads nowhere",
      rule('"true"', "dany"),
      [
        "put.yaml:1:1: spec: No valid actions found in rule",
        "put.yaml:6:24: spec.actions[0].handler: Handler not found: handler='dany' " +
          "(did you mean deny.handler.default?)",
      ],
    ],
    [
      "parameters that the adapter refuses",
      document("handler", "deny", "{ compiledAdapter: denier, params: { validUseCont: 1 } }"),
      ["put.yaml:4:58: spec.params.validUseCont: unknown field (did you mean validUseCount?)"],
    ],
  ];
  test.each(refusals)("%s is refused, with its place", async (_, text, told) => {
    const { apply, names } = await open();
    expect(await apply(fine)).toEqual([]);
    expect(await apply(text)).toEqual([...told]);
    expect(await names()).toEqual(["closed", "deny", "nothing"]);
  });

  test("is judged in a dry run too, which stores nothing", async () => {
    const { apply, names } = await open();
    expect(await apply(rule('"true"'), true)).not.toEqual([]);
    expect(await apply(fine, true)).toEqual([]);
    expect(await names()).toEqual([]);
  });

  test("may not break what is there", async () => {
    const { apply } = await open();
    const limits = (quota: string): string =>
      document(
        "handler",
        "limits",
        `
  compiledAdapter: memquota
  params: { quotas: [{ name: ${quota}.instance.default, maxAmount: 5, validDuration: 1s }] }`,
      );
    const requests = document("instance", "requests", "{ compiledTemplate: quota }");
    const limited = document(
      "rule",
      "limited",
      "{ actions: [{ handler: limits, instances: [requests] }] }",
    );
    expect(await apply(all(limits("requests"), requests, limited))).toEqual([]);
    const problem = "did not find limit defined for quota requests.instance.default";
    expect(await apply(limits("others"))).toEqual([
      `put.yaml:6:21: spec.params.quotas: ${problem}`,
    ]);
    const other = document("instance", "others", "{ compiledTemplate: quota }");
    const more = document(
      "rule",
      "more",
      "{ actions: [{ handler: limits, instances: [others] }] }",
    );
    expect(await apply(all(other, more))).toEqual([
      "put.yaml:6:1: spec: No valid actions found in rule",
      "put.yaml:6:21: spec.params.quotas: limits.handler.default: " +
        "did not find limit defined for quota others.instance.default",
      "put.yaml:9:30: spec.actions[0].handler: Handler not found: handler='limits' " +
        "(it is declared, but has problems of its own)",
    ]);
  });
});

test("what is wrong in a file is told, hurts nothing else and is in nobody's way", async () => {
  const { apply, told, lines, names } = await open(all(deny, rule("request.path")));
  const message = "expression 'request.path' evaluated to type STRING, expected type BOOL";
  expect(await told()).toContain(message);
  expect(lines.filter((line) => line.includes(message))).toHaveLength(1);
  expect(await apply(nothing)).toEqual([]);
  expect(await names()).toEqual(["closed", "deny", "nothing"]);
});
