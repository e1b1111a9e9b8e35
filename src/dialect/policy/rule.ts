/**
 * `kind: rule`: when handlers are asked, and what they are told. Beside what Istio writes, three
 * short forms: a handler and an instance in place of their names, and a line for a rate limit.
 * Spec table: mixer 3.1.
 */
import { isMap } from "yaml";
import type { Handler } from "../../model/handler.ts";
import type { Instance } from "../../model/instance.ts";
import type { Action, HeaderOperation, PolicyRule, Reference } from "../../model/policy-rule.ts";
import { checkAppendedName, checkHeaderName } from "../../model/validate-http.ts";
import { list, message, type Reader, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { integer, oneOf, text } from "../schema/scalar.ts";
import { expression } from "./expression-text.ts";
import { failPolicy, readHandler } from "./handler.ts";
import { readInstance } from "./instance.ts";
import { rateLimits } from "./rate-limit.ts";
import { sampling } from "./sampling.ts";

const reference: Reader<Reference> = (place) => {
  const name = text(place);
  if (name === "") place.error("must not be empty");
  return name === undefined ? undefined : { name, at: place.position };
};

const handler: Reader<Reference | Handler> = (place) =>
  isMap(place.node) ? readHandler(place) : reference(place);

const instance: Reader<Reference | Instance> = (place) =>
  isMap(place.node) ? readInstance(place) : reference(place);

const action = message({
  handler,
  instances: list(instance),
  name: text,
  /** Ours: what each request that matches takes of its quotas, without a QuotaSpec. */
  charge: integer({ least: 0 }),
});

const headerOperation = message({
  name: text,
  values: list(expression),
  operation: oneOf("REPLACE", "REMOVE", "APPEND"),
});

const fields = message({
  match: expression,
  actions: list(action),
  requestHeaderOperations: list(headerOperation),
  responseHeaderOperations: list(headerOperation),
  sampling,
  failPolicy,
  rateLimit: rateLimits,
});

/** Undefined after the problems have been reported. `name` is the rule's own. */
export function readRule(
  place: Place,
  { name, namespace }: { readonly name: string; readonly namespace: string },
): PolicyRule | undefined {
  const written = fields(place);
  if (written === undefined) return undefined;
  const { match, sampling: sampled, failPolicy: policy = "closed" } = written;
  const actions = (written.actions ?? []).map(toAction);
  const limits = (written.rateLimit ?? []).map((limit, i) =>
    limit.toAction({ rule: name, namespace, index: actions.length + i }),
  );
  return {
    match: match?.source.trim() === "" ? undefined : match,
    actions: [...actions.filter((one) => one !== undefined), ...limits],
    requestHeaders: (written.requestHeaderOperations ?? []).map((one) => toOperation(one, pseudo)),
    responseHeaders: (written.responseHeaderOperations ?? []).map((one) => toOperation(one, [])),
    ...(sampled && { sampling: sampled }),
    failPolicy: policy,
  };
}

function toAction(written: ValueOf<typeof action>): Action | undefined {
  if (!written.has("handler")) written.at().error("must have a handler");
  if (written.handler === undefined) return undefined;
  return {
    name: written.name ?? "",
    handler: written.handler,
    instances: written.instances ?? [],
    charge: written.charge ?? 0,
    at: written.at().position,
  };
}

const operations = { REPLACE: "replace", REMOVE: "remove", APPEND: "append" } as const;

/** Of a request: may be another, and cannot be left out nor there twice. */
const pseudo: readonly string[] = [":authority", ":path"];

function toOperation(
  written: ValueOf<typeof headerOperation>,
  replaceable: readonly string[],
): HeaderOperation {
  const { values = [], operation: word = "REPLACE" } = written;
  const name = (written.name ?? "").toLowerCase();
  const operation = operations[word];
  const check = operation === "append" ? checkAppendedName : checkHeaderName;
  const isKnown = operation === "replace" && replaceable.includes(name);
  const complaint = isKnown ? undefined : check(name);
  if (complaint !== undefined && (written.name !== undefined || !written.has("name")))
    written.at("name").error(name === "" ? complaint : `"${name}" ${complaint}`);
  return { name, values, operation, at: written.at().position };
}
