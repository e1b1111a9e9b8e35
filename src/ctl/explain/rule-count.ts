/**
 * What one rule did, asked of the admin ports of all proxies and mixers at once: each counts for
 * itself, and what a proxy asks a mixer is counted at both. What answers is another process, so
 * nothing of it is trusted to have the form that is expected.
 */

import type { ProxyStatus } from "../../api/gen/mesh/v1/config_pb.ts";
import { isRecord } from "../../core/record.ts";
import { httpGet } from "../http-get.ts";

export interface RuleCount {
  readonly matched: number;
  readonly denied: number;
  readonly failed: number;
  readonly reported: number;
}

export type ProxyRule =
  | {
      readonly at: "counted";
      readonly proxy: string;
      /** It counts what proxies ask it, and whoever else does. */
      readonly isMixer: boolean;
      readonly count: RuleCount;
      /** Broken now, or changed a moment ago: this proxy goes on with an earlier form. */
      readonly isFormer: boolean;
      /** In words; "": none yet. */
      readonly lastFault: string;
    }
  /** It runs without the rule: of another namespace, or the rule is not in force. */
  | { readonly at: "without"; readonly proxy: string }
  /** "no answer at 127.0.0.1:15000" */
  | { readonly at: "unreachable"; readonly proxy: string; readonly reason: string };

const TIMEOUT_MS = 3_000;
/** Admin ports asked at one time. */
const AT_ONCE = 32;

/** A rule by its full name, and its actions as proxies tell of them, by which forms differ. */
export interface CountedRule {
  readonly name: string;
  readonly actions: readonly string[];
}

/** In the order of `proxies`. */
export async function countRule(
  rule: CountedRule,
  proxies: readonly ProxyStatus[],
): Promise<readonly ProxyRule[]> {
  const found: ProxyRule[] = [];
  for (let i = 0; i < proxies.length; i += AT_ONCE) {
    const some = proxies.slice(i, i + AT_ONCE);
    found.push(...(await Promise.all(some.map((proxy) => askOne(rule, proxy)))));
  }
  return found;
}

/** Of proxies: an exchange that a mixer was asked about is counted once. */
export function sumOf(counts: readonly ProxyRule[]): RuleCount {
  const sum = { matched: 0, denied: 0, failed: 0, reported: 0 };
  for (const one of counts) {
    if (one.at !== "counted" || one.isMixer) continue;
    sum.matched += one.count.matched;
    sum.denied += one.count.denied;
    sum.failed += one.count.failed;
    sum.reported += one.count.reported;
  }
  return sum;
}

async function askOne(
  rule: CountedRule,
  { nodeId: proxy, adminAddress }: ProxyStatus,
): Promise<ProxyRule> {
  const unreachable = (reason: string): ProxyRule => ({ at: "unreachable", proxy, reason });
  if (adminAddress === "") return unreachable("it tells no admin address");
  let body: string;
  try {
    const url = `http://${adminAddress}/policy?format=json`;
    const answer = await httpGet(url, { timeoutMs: TIMEOUT_MS });
    if (answer.status !== 200) return unreachable(`${adminAddress} answers ${answer.status}`);
    body = answer.body;
  } catch {
    return unreachable(`no answer at ${adminAddress}`);
  }
  return readCount(rule, proxy, body) ?? unreachable(`${adminAddress} is no admin port of a proxy`);
}

/** Undefined: this is no page of policy. */
function readCount(rule: CountedRule, proxy: string, body: string): ProxyRule | undefined {
  const told = parse(body);
  if (!isRecord(told) || !Array.isArray(told.rules)) return undefined;
  const row: unknown = told.rules.find((one: unknown) => isRecord(one) && one.name === rule.name);
  if (!isRecord(row) || row.concerns === false) return { at: "without", proxy };
  const figures = isRecord(row.figures) ? row.figures : {};
  const failed = isRecord(figures.failed) ? Object.values(figures.failed) : [];
  return {
    at: "counted",
    proxy,
    isMixer: told.by === "mixer",
    count: {
      matched: amount(figures.matched),
      denied: amount(figures.denied),
      failed: failed.reduce<number>((sum, one) => sum + amount(one), 0),
      reported: amount(figures.reported),
    },
    isFormer: !Bun.deepEquals(row.actions, rule.actions),
    lastFault: typeof figures.lastFault === "string" ? figures.lastFault : "",
  };
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function amount(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}
