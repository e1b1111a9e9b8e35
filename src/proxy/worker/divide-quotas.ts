/**
 * Each Worker counts for itself what a memquota has granted, so each gets its part of the amounts:
 * all together grant what was written, and one more a Worker where it is no multiple of their
 * number. Whoever comes on one connection meets one Worker, and gets its part.
 */
import type { HandlerSpec, PolicyConfig } from "../../api/gen/mesh/v1/policy_pb.ts";

export function divideQuotas(policy: PolicyConfig, workers: number): PolicyConfig {
  const handlers = policy.handlers.map((handler) => {
    const { spec } = handler;
    return spec === undefined ? handler : { ...handler, spec: divided(spec, workers) };
  });
  const rules = policy.rules.map((rule) => {
    const actions = rule.actions.map((action) => {
      const { handler } = action;
      if (handler.case !== "inlineHandler") return action;
      return { ...action, handler: { ...handler, value: divided(handler.value, workers) } };
    });
    return { ...rule, actions };
  });
  return { ...policy, handlers, rules };
}

/** Parameters that cannot be read are complained of by each Worker, as they are. */
function divided(spec: HandlerSpec, workers: number): HandlerSpec {
  if (spec.adapter !== "memquota") return spec;
  try {
    const parameters: unknown = JSON.parse(spec.parameters);
    const parts = partsOf(parameters, workers);
    return { ...spec, parameters: JSON.stringify(parts) };
  } catch {
    return spec;
  }
}

/** Wherever an amount stands: of a quota, or of one of its overrides. */
function partsOf(value: unknown, workers: number): unknown {
  if (Array.isArray(value)) return value.map((one) => partsOf(one, workers));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, of]) => {
    if (name === "maxAmount" || name === "max_amount") return [name, partOf(of, workers)];
    return [name, name === "dimensions" ? of : partsOf(of, workers)];
  });
  return Object.fromEntries(entries);
}

function partOf(amount: unknown, workers: number): unknown {
  const whole = typeof amount === "string" && /^\d{1,15}$/.test(amount) ? Number(amount) : amount;
  return typeof whole === "number" && whole > 0 ? Math.ceil(whole / workers) : amount;
}
