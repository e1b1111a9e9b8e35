/**
 * What a connection that carries no requests has none of. An ALLOW rule that asks for it matches no
 * such connection; a DENY rule ignores it, and so denies more.
 */
import type {
  AccessOperation,
  AccessRule,
  AccessSource,
} from "../../model/authorization-policy.ts";

const sources: readonly (keyof AccessSource)[] = ["requestPrincipals", "notRequestPrincipals"];

const operations: readonly (keyof AccessOperation)[] = [
  "hosts",
  "notHosts",
  "methods",
  "notMethods",
  "paths",
  "notPaths",
];

/** It asks for what only requests have, and may match on any port. */
export function isWiderOnTcp(rule: AccessRule): boolean {
  return asksOfRequests(rule) && !isOfPorts(rule);
}

export function asksOfRequests({ from, to, when }: AccessRule): boolean {
  return (
    from.some((one) => sources.some((field) => one[field] !== undefined)) ||
    to.some((one) => operations.some((field) => one[field] !== undefined)) ||
    when.some(({ key }) => key.startsWith("request."))
  );
}

/** Undefined: of any port. */
export function portsOf({ to, when }: AccessRule): readonly string[] | undefined {
  if (to.length > 0 && to.every(({ ports }) => ports !== undefined))
    return to.flatMap(({ ports = [] }) => ports);
  return when.find(({ key, values }) => key === "destination.port" && values.length > 0)?.values;
}

function isOfPorts(rule: AccessRule): boolean {
  return portsOf(rule) !== undefined;
}
