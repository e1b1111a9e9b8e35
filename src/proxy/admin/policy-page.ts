/** The page that shows which rules of policy are in force, where they run, and what they did. */
import { json, text, wantsJson } from "../../api/admin-page.ts";
import { policyText } from "../../policy/policy-view.ts";
import type { Page } from "./page.ts";
import type { ProxyView } from "./proxy-view.ts";

export const policyPage: Page = {
  path: "/policy",
  method: "GET",
  about: "rules of policy: where they run, how often they matched, denied, failed (?format=json)",
  answer: policy,
};

async function policy(view: ProxyView, query: URLSearchParams): Promise<Response> {
  const found = (await view.policy()) ?? { generation: 0, rules: [], problems: [], kept: [] };
  return wantsJson(query) ? json(found) : text(policyText(found));
}
