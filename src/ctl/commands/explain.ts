/**
 * `mesh ctl explain rule`: what a rule of policy does, where, and how often it did;
 * `mesh ctl explain denial`: who refused a request.
 */
import { didYouMean } from "../../core/suggestion.ts";
import { policyRootNamespace } from "../../model/policy-set.ts";
import { call, managerAt } from "../client.ts";
import { CtlError, defineCtlCommand, EXIT, usageError } from "../command.ts";
import { explainDenial } from "../explain/explain-denial.ts";
import { type CountedRule, countRule } from "../explain/rule-count.ts";
import {
  explainRule,
  type RuleDeclaration,
  type RuleExplanation,
  rulesIn,
} from "../explain/rule-explanation.ts";
import { policyConfigs } from "../explain/stored-policy.ts";
import { managerFlags } from "../flag.ts";
import { kindOf } from "../kind-word.ts";
import { jsonText } from "../output/document.ts";
import { explanationJson, explanationText } from "../output/explanation-text.ts";

export const explainCommand = defineCtlCommand({
  args: {
    namespace: {
      type: "string",
      alias: "n",
      valueHint: "NAME",
      description: `Of the rule (default: default, then ${policyRootNamespace}, then any)`,
    },
    output: { type: "enum", alias: "o", options: ["table", "json"], description: "How to print" },
    ...managerFlags,
  },
  restName: "rule NAME | denial REQUEST_ID",
  details:
    "Of a rule: where it is written, its match, whom it asks and where that runs, which\n" +
    "attributes it reads; and from every running proxy and mixer how often it matched, denied,\n" +
    "failed and reported. A rule that is not in force says why, and the exit code is 1. Of a\n" +
    "denial: which proxy refused whom, by which policy, rule and file, and what would let it in.",
  examples: [
    ["mesh ctl explain rule ratings-limit", "of the namespace default"],
    ["mesh ctl explain rule promhttp -n istio-system", "of another"],
    ["mesh ctl explain rule no-bob -o json", "for scripts"],
    ["mesh ctl explain denial 3f1c9a52", "by the x-request-id that the answer carried"],
  ],
  async run(args, { io, paint, rest }) {
    if (rest[0] === "denial" || rest[0]?.startsWith("denial/") === true) {
      const ids = rest[0] === "denial" ? rest.slice(1) : [rest[0].slice("denial/".length)];
      const asJson = args.output === "json";
      return await explainDenial(managerAt(args, io), { ids, asJson, io, paint });
    }
    const wanted = wantedRule(rest, args.namespace);
    const manager = managerAt(args, io);
    const { objects } = await call(manager, manager.config.list({}));
    const configs = policyConfigs(objects);
    const rule = findRule(rulesIn(configs), wanted);
    const explained = explainRule(rule, configs);
    const { proxies } = await call(manager, manager.status.listProxies({}));
    const counts = await countRule(countedRule(explained), proxies);
    io.stdout(
      args.output === "json"
        ? jsonText(explanationJson(explained, counts))
        : explanationText(explained, counts, paint),
    );
    return explained.state === "in force" ? EXIT.ok : EXIT.failed;
  },
});

/** Actions in the words of the page `/policy` of a proxy. */
function countedRule({ name, state, actions }: RuleExplanation): CountedRule {
  if (state === "not in force") return { name, actions: [] };
  return {
    name,
    actions: actions.map(({ handler, instances }) => {
      const told = instances.map((one) => one.name).join(", ");
      return `${handler.name} (${handler.kind}): ${told}`;
    }),
  };
}

interface Wanted {
  /** `NAME`, or the full name that reasons of denials tell: `NAME.rule.NAMESPACE`. */
  readonly name: string;
  readonly namespace: string | undefined;
}

/** `rule NAME`, `rule/NAME`, `rule/NAMESPACE/NAME`. */
function wantedRule(rest: readonly string[], flag: string | undefined): Wanted {
  const [first, ...others] = rest;
  if (first === undefined) throw usageError("explain what?", "mesh ctl explain rule NAME");
  const [kind = "", ...parts] = first.split("/");
  if (kindOf(kind) !== "rule")
    throw usageError(
      "only rules and denials are explained",
      `mesh ctl get ${kind} shows what there is`,
    );
  const name = parts.at(-1) ?? others[0];
  const isOne = parts.length < 3 && parts.length + others.length > 0;
  if (!name || !isOne || others.length > (parts.length === 0 ? 1 : 0))
    throw usageError("name one rule", "mesh ctl get rules lists them");
  return { name, namespace: parts.length === 2 ? parts[0] : flag };
}

function findRule(rules: readonly RuleDeclaration[], wanted: Wanted): RuleDeclaration {
  const { name, namespace } = wanted;
  const named = rules.filter(
    (one) => one.name === name || `${one.name}.rule.${one.namespace}` === name,
  );
  const order = namespace === undefined ? ["default", policyRootNamespace] : [namespace];
  for (const one of order) {
    const found = named.find((rule) => rule.namespace === one);
    if (found !== undefined) return found;
  }
  const [only, other] = named;
  if (only !== undefined && other === undefined && namespace === undefined) return only;
  const where = namespace === undefined ? "" : ` in namespace ${namespace}`;
  if (only !== undefined) {
    const others = named.map((rule) => rule.namespace).join(", ");
    throw new CtlError(`no rule ${name}${where}`, EXIT.failed, `-n is one of ${others}`);
  }
  const names = rules.map((rule) => rule.name);
  throw new CtlError(
    `no rule is called ${name}`,
    EXIT.failed,
    didYouMean(name, names) ?? (names.length === 0 ? "there is none" : "mesh ctl get rules"),
  );
}
