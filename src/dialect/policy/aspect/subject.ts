/**
 * Whose requests a subject of Istio 0.1 speaks of, and which other subjects speak of some of them
 * more closely. Spec table: mixer 3.5.
 *
 *   global  ◀──  default.svc.cluster.local  ◀──  reviews.default.svc.cluster.local
 */
import type { AspectKind, ServiceConfig } from "../../../model/aspect-config.ts";
import { policyRootNamespace } from "../../../model/policy-set.ts";

/** The namespace of rules that are to speak of a subject's requests. */
export function namespaceOf(subject: string): string {
  const [first, second, third] = subject.split(".");
  if (second === "svc") return first ?? "";
  return third === "svc" && second !== undefined ? second : policyRootNamespace;
}

/** A condition on the called service; empty where its namespace says it all. */
export function conditionOf(subject: string): string {
  const shape = shapeOf(subject);
  if (subject === "global" || shape === "namespace") return "";
  const isIt = `${calledHost} == ${JSON.stringify(subject)}`;
  return shape === "service" ? isIt : `(${isIt} || ${isWithin(subject)})`;
}

/** That a request is not one that `subject` speaks of. */
export function exclusionOf(subject: string): string {
  const shape = shapeOf(subject);
  const isOther = `${calledHost} != ${JSON.stringify(subject)}`;
  const isOutside = `${isWithin(subject)} == false`;
  if (shape === "namespace") return isOutside;
  return shape === "service" ? isOther : `${isOther} && ${isOutside}`;
}

/** Subjects that have an aspect of a kind, by the scope and each wider subject. */
export class CloserSubjects {
  readonly #subjects = new Map<string, Set<string>>();

  add({ scope, subject }: ServiceConfig, kind: AspectKind): void {
    for (const wider of widerSubjects(subject)) {
      const key = `${kind}|${scope}|${wider}`;
      const subjects = this.#subjects.get(key) ?? new Set();
      this.#subjects.set(key, subjects.add(subject));
    }
  }

  /** In order; of one within another only the wider. */
  within({ scope, subject }: ServiceConfig, kind: AspectKind): readonly string[] {
    const all = this.#subjects.get(`${kind}|${scope}|${subject}`) ?? new Set();
    return [...all]
      .filter((one) => !widerSubjects(one).some((wider) => wider !== subject && all.has(wider)))
      .sort();
  }
}

/** "b.c", "c" and "global" of "a.b.c". */
function widerSubjects(subject: string): readonly string[] {
  if (subject === "global") return [];
  const wider: string[] = ["global"];
  for (let dot = subject.indexOf("."); dot !== -1; dot = subject.indexOf(".", dot + 1))
    wider.push(subject.slice(dot + 1));
  return wider;
}

const calledHost = '(destination.service.host | "")';

function isWithin(subject: string): string {
  return `(${calledHost}).endsWith(${JSON.stringify(`.${subject}`)})`;
}

/** Of a name without "svc" in its place nobody knows whether it is a service's. */
function shapeOf(subject: string): "namespace" | "service" | "any" {
  const [, second, third] = subject.split(".");
  if (second === "svc") return "namespace";
  return third === "svc" ? "service" : "any";
}
