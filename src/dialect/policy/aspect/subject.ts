/**
 * Whose requests a subject of Istio 0.1 speaks of, and which other subjects speak of some of them
 * more closely. Spec table: mixer 3.5.
 *
 *   global  ◀──  default.svc.cluster.local  ◀──  reviews.default.svc.cluster.local
 */
import type { ServiceConfig } from "../../../model/aspect-config.ts";
import { policyRootNamespace } from "../../../model/policy-set.ts";

/** The namespace of rules that are to speak of a subject's requests. */
export function namespaceOf(subject: string): string {
  const [first, second, third] = subject.split(".");
  if (second === "svc") return first ?? "";
  return third === "svc" && second !== undefined ? second : policyRootNamespace;
}

/** A condition on the called service; empty where its namespace says it all. */
export function conditionOf(subject: string): string {
  if (subject === "global" || isNamespace(subject)) return "";
  return `${calledHost} == ${JSON.stringify(subject)}`;
}

/** That a request is not one that `subject` speaks of. */
export function exclusionOf(subject: string): string {
  if (isNamespace(subject))
    return `(${calledHost}).endsWith(${JSON.stringify(`.${subject}`)}) == false`;
  return `${calledHost} != ${JSON.stringify(subject)}`;
}

/** Of one scope, and of less than `config` speaks of. */
export function isCloser(other: ServiceConfig, config: ServiceConfig): boolean {
  if (other.scope !== config.scope || other.subject === config.subject) return false;
  return config.subject === "global" || other.subject.endsWith(`.${config.subject}`);
}

const calledHost = '(destination.service.host | "")';

function isNamespace(subject: string): boolean {
  return subject.split(".")[1] === "svc";
}
