/** A rule as it is run: with handlers that are open, and by what is asked of them. */
import { type AttributeBag, MutableBag } from "../attribute/bag.ts";
import { Fault } from "../attribute/fault.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import type { Random } from "../core/random.ts";
import type { Expression } from "../expression/expression.ts";
import type { FailPolicy } from "../model/handler.ts";
import { compileHeaderOperation, type HeaderOperation } from "./header-operation.ts";
import type { OpenHandler } from "./open-handler.ts";
import type {
  ActionOutput,
  ResolvedAction,
  ResolvedHandler,
  ResolvedInstance,
  ResolvedRule,
} from "./resolved-policy.ts";
import { type Pair, pairsOf } from "./rule-index.ts";
import type { RuleStatistics } from "./rule-statistics.ts";
import { compileSampler, type Sampler, sampledSlots } from "./sampler.ts";
import type { AnyInstance, TemplateName, Variety } from "./template.ts";

/** One instance that a rule hands to a handler. */
export interface Ask {
  readonly handler: OpenHandler;
  readonly instance: ResolvedInstance;
  /** The instance itself, where it is the same for every exchange. */
  readonly constant: AnyInstance | undefined;
  /** The handler's own, or else the rule's. */
  readonly failPolicy: FailPolicy;
  readonly timeoutMs: number;
  /** Position among the rule's actions. */
  readonly action: number;
  readonly charge: number;
}

/** Instances of one template that one handler is told of together. */
export interface Telling {
  readonly handler: OpenHandler;
  readonly template: TemplateName;
  readonly asks: readonly Ask[];
  readonly timeoutMs: number;
}

export interface CompiledRule {
  readonly name: string;
  /** Of its statistics. */
  readonly row: number;
  readonly match: Expression | undefined;
  readonly pairs: readonly Pair[];
  readonly failPolicy: FailPolicy;
  /** It checks or takes of quotas: where it cannot be judged, its fail policy decides. */
  readonly guards: boolean;
  readonly generators: readonly Ask[];
  readonly checks: readonly Ask[];
  readonly quotas: readonly Ask[];
  /** Those of `quotas` that take something of every request. */
  readonly charges: readonly Ask[];
  readonly tellings: readonly Telling[];
  readonly requestHeaders: readonly HeaderOperation[];
  readonly responseHeaders: readonly HeaderOperation[];
  readonly outputs: readonly ActionOutput[];
  readonly sampler: Sampler | undefined;
  /** What the fail policy of its checks and charges in the mixer is; undefined: it has none. */
  readonly remotePolicy: FailPolicy | undefined;
  readonly reads: ReadonlySet<number>;
}

export interface RuleSurroundings {
  readonly vocabulary: Vocabulary;
  readonly statistics: RuleStatistics;
  readonly random: Random;
  readonly open: (handler: ResolvedHandler) => OpenHandler;
}

const TIMEOUT_MS = 1_000;

export function compileRule(rule: ResolvedRule, surroundings: RuleSurroundings): CompiledRule {
  const { vocabulary, statistics, random, open } = surroundings;
  const nothing = new MutableBag(vocabulary);
  const of = (variety: Variety): Ask[] =>
    rule.actions.flatMap((action, position) =>
      action.variety === variety ? asksOf({ rule, action, position, open, nothing }) : [],
    );
  const checks = of("check");
  const quotas = of("quota");
  const charges = quotas.filter(({ charge }) => charge > 0);
  const remote = [...checks, ...charges].filter(({ handler }) => handler.isRemote);
  const isClosed = remote.some(({ failPolicy }) => failPolicy === "closed");
  return {
    name: rule.name,
    row: statistics.acquire(rule.name),
    match: isAlways(rule.match, nothing) ? undefined : rule.match,
    pairs: pairsOf(rule.match, vocabulary),
    failPolicy: rule.failPolicy,
    guards: checks.length > 0 || quotas.length > 0,
    generators: of("generator"),
    checks,
    quotas,
    charges,
    tellings: tellingsOf(of("report")),
    requestHeaders: rule.requestHeaders.map((one) => compileHeaderOperation(one, nothing)),
    responseHeaders: rule.responseHeaders.map((one) => compileHeaderOperation(one, nothing)),
    outputs: rule.outputs,
    sampler: rule.sampling && compileSampler(rule.sampling, { random, vocabulary }),
    remotePolicy: remote.length === 0 ? undefined : isClosed ? "closed" : "open",
    reads: readsOf(rule, vocabulary),
  };
}

/** The instance of an exchange. */
export function instanceOf(ask: Ask, bag: AttributeBag): AnyInstance | Fault {
  return ask.constant ?? ask.instance.build(bag);
}

/**
 * Whether a rule matches. A condition that has no value is still false if a pair of it is:
 * `a == 1 && b == 2` cannot hold where b is 3, whether a is there or not, and whatever rules are
 * indexed by.
 */
export function holds(rule: CompiledRule, bag: AttributeBag): boolean | Fault {
  if (rule.match === undefined) return true;
  const value = rule.match.evaluate(bag);
  if (typeof value === "boolean") return value;
  for (const pair of rule.pairs) {
    const found = bag.read(pair.slot);
    if (found !== undefined && !(found instanceof Fault) && found !== pair.value) return false;
  }
  return value instanceof Fault ? value : notBoolean;
}

const notBoolean = new Fault("the condition is neither true nor false");

function isAlways(match: Expression | undefined, nothing: AttributeBag): boolean {
  return match !== undefined && match.reads.size === 0 && match.evaluate(nothing) === true;
}

interface ActionFacts {
  readonly rule: ResolvedRule;
  readonly action: ResolvedAction;
  readonly position: number;
  readonly open: RuleSurroundings["open"];
  readonly nothing: AttributeBag;
}

function asksOf({ rule, action, position, open, nothing }: ActionFacts): Ask[] {
  const handler = open(action.handler);
  const failPolicy = action.handler.failPolicy ?? rule.failPolicy;
  return action.instances.map((instance) => {
    const built = instance.reads.size === 0 ? instance.build(nothing) : undefined;
    return {
      handler,
      instance,
      constant: built instanceof Fault ? undefined : built,
      failPolicy,
      timeoutMs: action.handler.timeoutMs || TIMEOUT_MS,
      action: position,
      charge: action.charge,
    };
  });
}

/** By action and template, in order. */
function tellingsOf(asks: readonly Ask[]): Telling[] {
  const groups = Map.groupBy(asks, ({ action, instance }) => `${action} ${instance.template}`);
  return Array.from(groups.values(), (group) => {
    const { handler, instance, timeoutMs } = group[0]!;
    return { handler, template: instance.template, asks: group, timeoutMs };
  });
}

function readsOf(rule: ResolvedRule, vocabulary: Vocabulary): ReadonlySet<number> {
  const headers = [...rule.requestHeaders, ...rule.responseHeaders];
  const readers = [
    rule.match,
    ...rule.actions.flatMap(({ instances }) => instances),
    ...headers.flatMap(({ values }) => values),
  ];
  const slots = readers.flatMap((reader) => (reader === undefined ? [] : [...reader.reads]));
  if (rule.sampling !== undefined) slots.push(...sampledSlots(rule.sampling, vocabulary));
  return new Set(slots.filter((slot) => slot < vocabulary.size));
}
