/** QuotaSpecBinding and HTTPAPISpecBinding: which services a spec is for. Spec table: mixer 2.7. */
import type { SpecBinding } from "../../model/quota-spec.ts";
import { checkObjectName } from "../../model/validate-name.ts";
import { type Context, resolveService, serviceRef } from "../routing/service-ref.ts";
import { list, message, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { text } from "../schema/scalar.ts";

const reference = message({ name: text, namespace: text });
const quotaBinding = message({ services: list(serviceRef), quotaSpecs: list(reference) });
const apiBinding = message({ services: list(serviceRef), apiSpecs: list(reference) });

/** Undefined after the problems have been reported. */
export function readQuotaSpecBinding(place: Place, context: Context): SpecBinding | undefined {
  const written = quotaBinding(place);
  if (written === undefined) return undefined;
  for (const part of ["quotaSpecs", "services"] as const)
    if (!written.has(part) || written[part]?.length === 0)
      written.at(part).error(`must have ${part}`);
  return toBinding(written.services, written.quotaSpecs, context);
}

export function readHttpApiSpecBinding(place: Place, context: Context): SpecBinding | undefined {
  const written = apiBinding(place);
  if (written === undefined) return undefined;
  for (const part of ["apiSpecs", "services"] as const)
    if (!written.has(part) || written[part]?.length === 0)
      written.at(part).error(`must have ${part}`);
  return toBinding(written.services, written.apiSpecs, context);
}

function toBinding(
  services: ValueOf<typeof quotaBinding>["services"] = [],
  specs: ValueOf<typeof quotaBinding>["quotaSpecs"] = [],
  context: Context,
): SpecBinding {
  return {
    services: services.flatMap((service) => resolveService(service, context)?.host ?? []),
    specs: specs.map((spec) => {
      const { name = "", namespace = context.namespace } = spec;
      if (!spec.has("name")) spec.at().error("must have a name");
      else if (spec.name !== undefined) {
        const complaint = checkObjectName(name, true);
        if (complaint !== undefined) spec.at("name").error(`"${name}" ${complaint}`);
      }
      const complaint = spec.has("namespace") ? checkObjectName(namespace, false) : undefined;
      if (complaint !== undefined) spec.at("namespace").error(`"${namespace}" ${complaint}`);
      return { name, namespace, at: spec.at().position };
    }),
  };
}
