/** Rules: references followed, conditions and header values compiled, actions split by variety. */

import type { ValueType } from "../attribute/value.ts";
import type { Position } from "../core/problem.ts";
import type { Expression } from "../expression/expression.ts";
import {
  type Action,
  inlineName,
  type PolicyRule,
  type RandomSampling,
  type Sampling,
} from "../model/policy-rule.ts";
import type { Declared } from "../model/policy-set.ts";
import type { HandlerContext, InstanceContext } from "./resolve-context.ts";
import { type ExpressionResolver, otherType } from "./resolve-expression.ts";
import { type BindableHandler, resolveHandler } from "./resolve-handler.ts";
import { HeaderResolver } from "./resolve-header.ts";
import { resolveInstance, type UsableInstance } from "./resolve-instance.ts";
import type { NameTable } from "./resolve-name.ts";
import type { Subject } from "./resolve-problem.ts";
import type {
  ResolvedAction,
  ResolvedHandler,
  ResolvedRandomSampling,
  ResolvedRule,
  ResolvedSampling,
} from "./resolved-policy.ts";
import type { Variety } from "./template.ts";

export interface RuleContext extends InstanceContext, HandlerContext {
  readonly handlers: NameTable<BindableHandler>;
  readonly instances: NameTable<UsableInstance>;
  /** Handlers that stand in rules, for those who configure all. */
  readonly inline: BindableHandler[];
}

/** An action whose names are followed, before its handler is configured. */
export interface FollowedAction {
  readonly action: Action;
  readonly path: string;
  readonly handler: BindableHandler;
  readonly instances: readonly UsableInstance[];
}

export interface FollowedRule {
  readonly declared: Declared<PolicyRule>;
  readonly subject: Subject;
  /** Undefined: always; false: broken, so that the rule never applies. */
  readonly match: Expression | undefined | false;
  readonly actions: readonly FollowedAction[];
}

/** The first half: what a rule refers to, bound to the handlers that it refers to. */
export function followRule(
  declared: Declared<PolicyRule>,
  subject: Subject,
  context: RuleContext,
): FollowedRule {
  const match = resolveMatch(declared.spec, subject, context.expressions, context);
  const actions = declared.spec.actions.flatMap((action, i) => {
    const followed = new ActionFollower(declared, subject, context).follow(action, i);
    return followed === undefined ? [] : [followed];
  });
  if (match !== false)
    for (const { handler, instances } of actions)
      for (const instance of instances) handler.bind(instance);
  return { declared, subject, match, actions };
}

function resolveMatch(
  { match }: PolicyRule,
  subject: Subject,
  expressions: ExpressionResolver,
  { problems }: RuleContext,
): Expression | undefined | false {
  if (match === undefined || match.source.trim() === "") return undefined;
  const path = "spec.match";
  const expression = expressions.compile(match, { subject, path }, "BOOL");
  if (expression === undefined) return false;
  if (expression.type === "BOOL") return expression.canonical === "true" ? undefined : expression;
  const message = otherType(match.source, expression.type, "type BOOL");
  problems.error(subject, path, { at: match.at, message });
  return false;
}

const twice = "action specified the same instance multiple times";

class ActionFollower {
  readonly #declared: Declared<PolicyRule>;
  readonly #subject: Subject;
  readonly #context: RuleContext;

  constructor(declared: Declared<PolicyRule>, subject: Subject, context: RuleContext) {
    this.#declared = declared;
    this.#subject = subject;
    this.#context = context;
  }

  /** Undefined after it has reported why nothing is left of the action. */
  follow(action: Action, index: number): FollowedAction | undefined {
    const path = `spec.actions[${index}]`;
    const handler = this.#handler(action, index, path);
    if (handler === undefined) return undefined;
    const instances = new Map<string, UsableInstance>();
    for (const [i, written] of action.instances.entries()) {
      const at = `${path}.instances[${i}]`;
      const instance = this.#instance(written, [index, i], at);
      if (instance === undefined) continue;
      const position = "at" in written ? written.at : written.templateAt;
      if (instances.has(instance.name)) {
        const message = `${twice}: instance='${instance.name}'`;
        this.#error(at, position, message);
      } else if (!handler.adapter.templates.includes(instance.template)) {
        const message =
          `instance '${instance.name}' is of template '${instance.template}' ` +
          `which is not supported by handler '${handler.name}'`;
        const suggestion = `${handler.adapter.name} takes ${handler.adapter.templates.join(", ")}`;
        this.#error(at, position, message, suggestion);
      } else instances.set(instance.name, instance);
    }
    if (instances.size === 0) {
      this.#context.problems.error(this.#subject, `${path}.instances`, {
        at: action.at,
        message: "No valid instances found",
        about: action.instances.length === 0 ? "itself" : "consequence",
      });
      return undefined;
    }
    const followed = { action, path, handler, instances: [...instances.values()] };
    this.#checkCharge(followed);
    return followed;
  }

  #handler({ handler }: Action, index: number, path: string): BindableHandler | undefined {
    const context = this.#context;
    const subject = this.#subject;
    const at = `${path}.handler`;
    if ("name" in handler) return context.handlers.follow(handler, subject, at);
    const shortName = inlineName(this.#declared.name, index);
    const name = `${shortName}.handler.${subject.namespace}`;
    const found = resolveHandler(handler, { subject, path: at, name, shortName }, context);
    if (found !== undefined) context.inline.push(found);
    return found;
  }

  #instance(
    instance: Action["instances"][number],
    [action, index]: readonly [number, number],
    path: string,
  ): UsableInstance | undefined {
    const context = this.#context;
    const subject = this.#subject;
    if ("name" in instance) return context.instances.follow(instance, subject, path);
    const shortName = inlineName(this.#declared.name, action, index);
    const name = `${shortName}.instance.${subject.namespace}`;
    return resolveInstance(instance, { subject, path, name, shortName }, context);
  }

  #checkCharge({ action, path, instances }: FollowedAction): void {
    if (action.charge === 0 || instances.some(({ variety }) => variety === "quota")) return;
    const message = "there is no quota among the instances to take from";
    this.#error(`${path}.charge`, action.at, message);
  }

  #error(path: string, at: Position, message: string, suggestion?: string): void {
    this.#context.problems.error(this.#subject, path, { at, message, suggestion });
  }
}

/** The second half: what can be asked of the handlers that were configured. Undefined: nothing. */
export function finishRule(
  { declared, subject, match, actions }: FollowedRule,
  configured: ReadonlyMap<BindableHandler, ResolvedHandler>,
  context: RuleContext,
): ResolvedRule | undefined {
  const { spec, origin } = declared;
  const usable = actions.flatMap((followed) => {
    const handler = configured.get(followed.handler);
    if (handler !== undefined) return splitByVariety(followed, handler);
    const { path, action } = followed;
    if ("name" in action.handler)
      context.handlers.tellBroken(action.handler, subject, `${path}.handler`);
    return [];
  });
  const headers = new HeaderResolver(subject, usable, context);
  const requestHeaders = headers.resolve(spec.requestHeaders, "spec.requestHeaderOperations");
  const responseHeaders = headers.resolve(spec.responseHeaders, "spec.responseHeaderOperations");
  const sampling = resolveSampling(spec.sampling, subject, context);
  if (usable.length + requestHeaders.length + responseHeaders.length === 0) {
    const written = [spec.actions, spec.requestHeaders, spec.responseHeaders].flat();
    const about = written.length === 0 ? "itself" : "consequence";
    context.problems.error(subject, "spec", { message: "No valid actions found in rule", about });
    return undefined;
  }
  if (match === false) return undefined;
  return {
    name: subject.name,
    namespace: subject.namespace,
    origin,
    match,
    failPolicy: spec.failPolicy,
    sampling,
    actions: usable,
    requestHeaders,
    responseHeaders,
    outputs: headers.outputs,
    runsAt: placeOf(usable),
  };
}

const varieties: readonly Variety[] = ["generator", "check", "quota", "report"];

function splitByVariety(
  { action, instances }: FollowedAction,
  handler: ResolvedHandler,
): readonly ResolvedAction[] {
  return varieties.flatMap((variety) => {
    const some = instances.filter((instance) => instance.variety === variety);
    if (some.length === 0) return [];
    const charge = variety === "quota" ? action.charge : 0;
    return [{ name: action.name, handler, variety, instances: some, charge }];
  });
}

const numeric: readonly ValueType[] = ["INT64", "DOUBLE", "STRING"];

function resolveSampling(
  sampling: Sampling | undefined,
  subject: Subject,
  { expressions, problems }: RuleContext,
): ResolvedSampling | undefined {
  if (sampling === undefined || sampling.by === "rate") return sampling;
  const random = (of: RandomSampling): ResolvedRandomSampling =>
    resolveRandom(of, subject, { expressions, problems });
  if (sampling.by === "random") return random(sampling);
  return { ...sampling, random: random(sampling.random) };
}

function resolveRandom(
  sampling: RandomSampling,
  subject: Subject,
  { expressions, problems }: Pick<RuleContext, "expressions" | "problems">,
): ResolvedRandomSampling {
  const { attribute, ...rest } = sampling;
  if (attribute === undefined) return { ...rest, attribute };
  const path = "spec.sampling.random.attributeExpression";
  const expression = expressions.compile(attribute, { subject, path });
  // A header is text: where it is no number, nothing passes.
  const isNumber = expression !== undefined && numeric.includes(expression.type);
  if (expression === undefined || isNumber) return { ...rest, attribute: expression };
  const message = otherType(attribute.source, expression.type, "a number");
  problems.error(subject, path, { at: attribute.at, message });
  return { ...rest, attribute: undefined };
}

function placeOf(actions: readonly ResolvedAction[]): ResolvedRule["runsAt"] {
  const atMixer = actions.filter(({ handler }) => handler.configured.runsAt === "mixer").length;
  if (atMixer === 0) return "proxy";
  return atMixer === actions.length ? "mixer" : "both";
}
