/** Which handlers and instances requests of each namespace meet, as the original lists it. */
import { readFileSync } from "node:fs";
import { Log } from "../../core/log.ts";
import { systemRandom } from "../../core/random.ts";
import { policyRootNamespace } from "../../model/policy-set.ts";
import type { Ask, CompiledRule } from "../../policy/compiled-rule.ts";
import { Exposition } from "../../policy/exposition.ts";
import type { ResolvedPolicy } from "../../policy/resolved-policy.ts";
import { PolicyRuntime } from "../../policy/runtime.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { resolveFakes } from "./mixer-fakes.ts";
import { type Suite, Verdicts } from "./suite.ts";

interface Vector {
  readonly name: string;
  readonly configs: readonly string[];
  readonly service_config: string;
  readonly custom_adapters: boolean;
  readonly custom_templates: boolean;
  readonly expect_table: string;
}

const varieties = ["CHECK", "REPORT", "QUOTA", "ATTRIBUTE_GENERATOR", "CHECK_WITH_OUTPUT"] as const;

export const routingSuites: readonly Suite[] = [{ file: "mixer/config_routing.json", run }];

async function run(path: string): ReturnType<Suite["run"]> {
  const verdicts = new Verdicts();
  const { cases } = JSON.parse(readFileSync(path, "utf8")) as { cases: readonly Vector[] };
  for (const one of cases)
    if (one.custom_templates)
      verdicts.skip(one.name, "templates here are data: none of them can fail to build instances");
    else verdicts.judge(one.name, judge(one));
  return verdicts.result();
}

function judge({ configs, custom_adapters: fails, expect_table: wanted }: Vector) {
  const open = () => {
    if (fails) throw new Error("as expected");
    return {};
  };
  const { policy } = resolveFakes(configs, { open });
  const runtime = fakeRuntime();
  runtime.publish(policy);
  const table = tableOf(policy, runtime);
  runtime.close();
  return squeezed(table) === squeezed(wanted) ? undefined : `${table} instead of ${wanted}`;
}

export function fakeRuntime(clock = new VirtualClock()): PolicyRuntime {
  return new PolicyRuntime({
    clock,
    log: new Log("conformance", { level: "error" }, () => {}),
    metrics: new Metrics({ seriesMax: 1_000 }),
    exposition: new Exposition(),
    random: systemRandom,
  });
}

function squeezed(text: string): string {
  return text.replace(/\s/g, "");
}

function tableOf({ rules }: ResolvedPolicy, { current }: PolicyRuntime): string {
  const namespaces = [...new Set(rules.map(({ namespace }) => namespace))].sort();
  let text = "[Routing ExpectedTable]\nID: 0\n";
  let shown = 0;
  const forAll = current.scopeOf(policyRootNamespace).rules;
  for (const variety of varieties) {
    const sections = namespaces.flatMap((namespace) => {
      const { rules: met } = current.scopeOf(namespace);
      const own = namespace === policyRootNamespace ? met : met.slice(forAll.length);
      const of = destinationsOf(own, variety);
      if (of.length === 0) return [];
      // Those for all are listed for themselves, after a namespace's own.
      const more = own === met ? [] : destinationsOf(forAll, variety);
      const destinations = [...of, ...more].sort((a, b) => byText(handlerOf(a), handlerOf(b)));
      return [{ namespace, destinations }];
    });
    if (sections.length === 0) continue;
    text += `[#${shown++}] TEMPLATE_VARIETY_${variety} {V}\n`;
    for (const [i, { namespace, destinations }] of sections.entries())
      text += `  [#${i}] ${namespace} {NS}\n${numbered(destinations)}`;
  }
  return text;
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Of a destination's text. */
function handlerOf(text: string): string {
  return text.slice(0, text.indexOf(" "));
}

function numbered(texts: readonly string[]): string {
  return texts.map((text, i) => `    [#${i}] ${text}`).join("");
}

/** Of each handler and template: the conditions, and the instances under each. */
function destinationsOf(
  rules: readonly CompiledRule[],
  variety: (typeof varieties)[number],
): string[] {
  const asks = rules.flatMap((rule) => asksOf(rule, variety).map((ask) => ({ rule, ask })));
  const open = asks.filter(({ ask }) => ask.handler.opened.at !== "nowhere");
  const key = ({ ask }: (typeof open)[number]): string =>
    `${ask.handler.name} ${ask.instance.template}`;
  return [...Map.groupBy(open, key)]
    .sort(([a], [b]) => byText(a, b))
    .map(([, of]) => {
      // Rules without a condition are one; those with the same condition are not.
      const groups = Map.groupBy(of, ({ rule }) => (rule.match === undefined ? "" : rule.name));
      const texts = Array.from(groups.values(), (group) => {
        const names = group.map(({ ask }) => ask.instance.name).sort();
        const instances = names.map((name, i) => `        [#${i}] ${name} {I}\n`).join("");
        return `Condition: ${group[0]!.rule.match?.source ?? "<NONE>"}\n${instances}`;
      });
      const conditions = texts.sort().map((text, i) => `      [#${i}]\n        ${text}`);
      return `${of[0]!.ask.handler.name} {H}\n${conditions.join("")}`;
    });
}

function asksOf(rule: CompiledRule, variety: (typeof varieties)[number]): readonly Ask[] {
  const hasOutput = ({ instance }: Ask): boolean => instance.template.endsWith("output");
  switch (variety) {
    case "CHECK":
      return rule.checks.filter((ask) => !hasOutput(ask));
    case "CHECK_WITH_OUTPUT":
      return rule.checks.filter(hasOutput);
    case "REPORT":
      return rule.tellings.flatMap(({ asks }) => asks);
    case "QUOTA":
      return rule.quotas;
    case "ATTRIBUTE_GENERATOR":
      return rule.generators;
    default:
      return variety satisfies never;
  }
}
