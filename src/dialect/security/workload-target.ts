/**
 * Whom an object of security.istio.io is for: `selector`, `targetRef`, `targetRefs`. One of them at
 * most. Spec table: manager 7.
 */

import { type Complaint, checkLabel } from "../../model/validate-name.ts";
import type { TargetReference, WorkloadTarget } from "../../model/workload-target.ts";
import { labelsChecked } from "../schema/label.ts";
import { list, type Message, message, toRecord, type ValueOf } from "../schema/message.ts";
import { checkedText, text } from "../schema/scalar.ts";

/** An object's: its own namespace is the only one that it may refer to. */
export interface Holder {
  readonly name: string;
  readonly namespace: string;
  readonly annotations: Readonly<Record<string, string>>;
}

function checkSelected(key: string, value: string): Complaint {
  if (`${key}${value}`.includes("*")) return "must not have wildcards: labels are compared whole";
  if (value.length > 63) return "is longer than 63 characters";
  return checkLabel(key, value);
}

export const selector = message({ matchLabels: labelsChecked(checkSelected) });

const name = checkedText((value) =>
  value.length > 253 ? "is longer than 253 characters" : undefined,
);

const reference = message({ group: text, kind: text, name, namespace: text });

/** Fields of `message` that say whom an object is for. */
export const targetFields = { selector, targetRef: reference, targetRefs: list(reference) };

type Reference = NonNullable<ValueOf<typeof reference>>;

const kinds: Readonly<Record<string, TargetReference["kind"]>> = {
  "/Service": "Service",
  "core/Service": "Service",
  "networking.istio.io/ServiceEntry": "ServiceEntry",
  "gateway.networking.k8s.io/Gateway": "Gateway",
  "gateway.networking.k8s.io/GatewayClass": "GatewayClass",
};

const referencesMax = 16;

export function readTarget(
  message: Message<typeof targetFields>,
  { namespace }: Holder,
): WorkloadTarget {
  const given = (["selector", "targetRef", "targetRefs"] as const).filter((field) =>
    field === "targetRefs" ? (message.targetRefs?.length ?? 0) > 0 : message.has(field),
  );
  for (const field of given.slice(1))
    message.at(field).error(`must not stand beside ${given[0]}: one of them says whom it is for`);
  const labels = readSelector(message.selector);
  const references = [
    ...(message.targetRef === undefined ? [] : [message.targetRef]),
    ...(message.targetRefs ?? []),
  ].flatMap((one) => readReference(one, namespace) ?? []);
  if ((message.targetRefs?.length ?? 0) > referencesMax)
    message.at("targetRefs").error(`may be ${referencesMax} at most`);
  return {
    ...(labels !== undefined && { selector: labels }),
    ...(references.length > 0 && { references }),
  };
}

/** Undefined: it selects nobody in particular, which is everybody. */
export function readSelector(
  selected: ValueOf<typeof selector> | undefined,
): Readonly<Record<string, string>> | undefined {
  if (selected === undefined) return undefined;
  const labels = toRecord(selected.matchLabels);
  if (Object.keys(labels).length > 0) return labels;
  if (selected.at().reading.errors === 0)
    selected.at().warn("has no labels: it selects all, as if it were not there");
  return undefined;
}

function readReference(one: Reference, namespace: string): TargetReference | undefined {
  const { group = "", kind = "", name = "" } = one;
  const found = Object.hasOwn(kinds, `${group}/${kind}`) ? kinds[`${group}/${kind}`] : undefined;
  if (name === "") one.at().error("must have a name");
  if ((one.namespace ?? "") !== "" && one.namespace !== namespace)
    one.at("namespace").error("must not be another one than the object's own");
  if (found !== undefined) return { kind: found, name };
  const what = Object.keys(kinds).filter((known) => !known.startsWith("core"));
  one
    .at("kind")
    .error(
      `"${kind}" of group "${group}" is nothing that can be referred to`,
      `group/kind are ${what.join(", ")}`,
    );
  return undefined;
}
