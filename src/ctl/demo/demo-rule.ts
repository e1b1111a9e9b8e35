/** The Bookinfo rules inside the executable, and what the demo suggests to do with them. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import abort from "../../../rules/bookinfo/abort.yaml" with { type: "text" };
import allV1 from "../../../rules/bookinfo/all-v1.yaml" with { type: "text" };
import canary from "../../../rules/bookinfo/canary.yaml" with { type: "text" };
import circuitBreaker from "../../../rules/bookinfo/circuit-breaker.yaml" with { type: "text" };
import delay from "../../../rules/bookinfo/delay.yaml" with { type: "text" };
import denyList from "../../../rules/bookinfo/deny-list.yaml" with { type: "text" };
import loadBalancing from "../../../rules/bookinfo/load-balancing.yaml" with { type: "text" };
import mirror from "../../../rules/bookinfo/mirror.yaml" with { type: "text" };
import onlyReviews from "../../../rules/bookinfo/only-reviews.yaml" with { type: "text" };
import rateLimit from "../../../rules/bookinfo/rate-limit.yaml" with { type: "text" };
import redirect from "../../../rules/bookinfo/redirect.yaml" with { type: "text" };
import reviewsV3 from "../../../rules/bookinfo/reviews-v3.yaml" with { type: "text" };
import testUserV2 from "../../../rules/bookinfo/test-user-v2.yaml" with { type: "text" };
import timeout from "../../../rules/bookinfo/timeout.yaml" with { type: "text" };

export const demoRules: Readonly<Record<string, string>> = {
  "abort.yaml": abort,
  "all-v1.yaml": allV1,
  "canary.yaml": canary,
  "circuit-breaker.yaml": circuitBreaker,
  "delay.yaml": delay,
  "deny-list.yaml": denyList,
  "load-balancing.yaml": loadBalancing,
  "mirror.yaml": mirror,
  "only-reviews.yaml": onlyReviews,
  "rate-limit.yaml": rateLimit,
  "redirect.yaml": redirect,
  "reviews-v3.yaml": reviewsV3,
  "test-user-v2.yaml": testUserV2,
  "timeout.yaml": timeout,
};

/** Where deny-list.yaml says that its list is. */
const listUrl = /http:\/\/127\.0\.0\.1:\d+\/denied/;

/**
 * Writes them out, so that the suggested commands work wherever the executable was started.
 * `deniedUrl`: where the list of guests who are denied really is.
 */
export function writeRules(directory: string, deniedUrl: string): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(demoRules))
    writeFileSync(join(directory, name), text.replace(listUrl, deniedUrl));
}

/** What to try: a rule, and what will be seen. */
export const suggestions: readonly (readonly [file: string, effect: string])[] = [
  ["canary.yaml", "canary: 90 % of reviews from v1, 10 % from v3 (red stars)"],
  ["test-user-v2.yaml", "whoever logs in as test-user gets reviews v2 (black stars)"],
  ["delay.yaml", "ratings answer test-user 2 s late"],
  ["abort.yaml", "ratings answer test-user with 500: the page comes without stars"],
  ["circuit-breaker.yaml", "one connection to details: bursts are refused at once"],
];

/** The same of policy: what to apply, what to ask then, and what will be answered. */
export const policySuggestions: readonly (readonly [
  file: string,
  ask: (page: string) => string,
  effect: string,
])[] = [
  [
    "deny-list.yaml",
    (page) => `curl -i -H 'x-guest: mallory' ${page}`,
    "a list of guests: mallory gets 403, and x-mesh-reason names the rule",
  ],
  [
    "rate-limit.yaml",
    (page) => {
      const once = `curl -so /dev/null -w '%{http_code}\\n' -H 'x-guest: ann' ${page}`;
      return `for i in 1 2 3 4; do ${once}; done`;
    },
    "three pages in ten seconds for each guest: the fourth is 429",
  ],
];

/** Who may call whom: what to apply, what to run then, and what will be seen. */
export const accessSuggestion = {
  file: "only-reviews.yaml",
  effect: "ratings for the reviews alone, who prove who they are; details get 403",
  /** Asked without traffic. */
  questions: [
    "authz can reviews ratings GET /ratings/0",
    "authz can details ratings GET /ratings/0",
  ],
  /** By the sidecar of details. */
  ask: (outbound: number): string =>
    `curl -i -x http://127.0.0.1:${outbound} -H 'x-request-id: stars' ` +
    "http://ratings:9080/ratings/0",
  why: "explain denial stars",
} as const;
