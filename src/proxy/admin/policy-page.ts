/** The page that shows which rules of policy are in force, where they run, and what they did. */
import type { PolicyView, RuleView } from "../policy/policy-view.ts";
import { json, type Page, text, wantsJson } from "./page.ts";
import type { ProxyView } from "./proxy-view.ts";

export const policyPage: Page = {
  path: "/policy",
  method: "GET",
  about: "rules of policy: where they run, how often they matched, denied, failed (?format=json)",
  answer: policy,
};

async function policy(view: ProxyView, query: URLSearchParams): Promise<Response> {
  const found = await view.policy();
  if (wantsJson(query)) return json(found ?? { generation: 0, rules: [], problems: [] });
  if (found === undefined || (found.rules.length === 0 && found.problems.length === 0))
    return text("no rules");
  return text([...found.rules.flatMap(ruleLines), ...problemLines(found)].join("\n"));
}

/** In the form of /clusters, for whoever greps. */
function ruleLines(rule: RuleView): string[] {
  const { name, figures } = rule;
  const { match, instance, handler, late } = figures.failed;
  const line = (key: string, value: string | number | boolean): string =>
    `${name}::${key}::${value}`;
  return [
    line("origin", rule.origin),
    line("match", rule.match === "" ? "always" : rule.match),
    line("runs_at", rule.runsAt),
    line("fail_policy", rule.failPolicy),
    line("concerns_this_proxy", rule.concerns),
    ...rule.actions.map((action) => line("action", action)),
    line("matched", figures.matched),
    line("denied", figures.denied),
    line("reported", figures.reported),
    line("failed", match + instance + handler + late),
    ...(figures.lastFault === "" ? [] : [line("last_fault", figures.lastFault)]),
  ];
}

function problemLines({ problems, kept }: PolicyView): string[] {
  if (problems.length === 0) return [];
  const fate = kept.length === 0 ? "left out" : `as before: ${kept.join(", ")}; else left out`;
  return [`problems (${fate}):`, ...problems.map((problem) => `  ${problem}`)];
}
