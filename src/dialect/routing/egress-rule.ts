/** EgressRule of `config.istio.io/v1alpha2`: hosts outside of the mesh. Spec table: manager 1.8. */

import { didYouMean } from "../../core/suggestion.ts";
import type { EgressPort, EgressRule } from "../../model/egress-rule.ts";
import { checkEgressService, isCidr } from "../../model/validate-address.ts";
import { list, message, type Reader, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { flag, integer, text } from "../schema/scalar.ts";
import { serviceRef } from "./service-ref.ts";

const protocols = ["http", "https", "http2", "grpc", "tcp", "mongo"] as const;
const ofConnections: readonly string[] = ["tcp", "mongo"];

const protocol: Reader<(typeof protocols)[number]> = (place) => {
  const value = text(place);
  if (value === undefined) return undefined;
  const found = protocols.find((name) => name === value || name.toUpperCase() === value);
  if (found === undefined)
    place.error(
      `must be one of ${protocols.join(", ")}, not ${JSON.stringify(value)}`,
      didYouMean(value, protocols),
    );
  return found;
};

const egressPort = message({ port: integer({ least: 1, most: 65_535 }), protocol });

const noProxy: Reader<boolean> = (place) => {
  const value = flag(place);
  if (value === true) place.error("is not supported: egress through a proxy of its own");
  return value;
};

const written = message({
  destination: serviceRef,
  ports: list(egressPort),
  useEgressProxy: noProxy,
});

/** Undefined after the problems have been reported. */
export function readEgressRule(place: Place): EgressRule | undefined {
  const rule = written(place);
  if (rule === undefined) return undefined;
  const service = readService(rule);
  const ports = readPorts(rule, service);
  return service === undefined ? undefined : { service, ports };
}

type Written = NonNullable<ValueOf<typeof written>>;

function readService(rule: Written): string | undefined {
  const { destination } = rule;
  if (destination === undefined) {
    if (!rule.has("destination")) rule.at().error("must have a destination");
    return undefined;
  }
  if ("text" in destination) return checkService(destination.text, destination.place);
  for (const field of ["name", "namespace", "domain", "labels"] as const)
    if (destination.has(field) && destination[field] !== "")
      destination.at(field).error("has no place in an egress rule", "write service alone");
  const { service = "" } = destination;
  if (service !== "") return checkService(service, destination.at("service"));
  if (!destination.has("service") || destination.service === "")
    destination.at().error("must have a service");
  return undefined;
}

function checkService(service: string, place: Place): string | undefined {
  const complaint = checkEgressService(service);
  if (complaint === undefined) return service.toLowerCase();
  place.error(`"${service}" ${complaint}`);
  return undefined;
}

function readPorts(rule: Written, service: string | undefined): readonly EgressPort[] {
  if (!rule.has("ports") || rule.ports?.length === 0)
    rule.at(rule.has("ports") ? "ports" : undefined).error("must have at least one port");
  const seen = new Set<number>();
  return (rule.ports ?? []).flatMap((entry) => {
    const { port, protocol: spoken } = entry;
    if (!entry.has("port")) entry.at().error("must have a port");
    if (!entry.has("protocol")) entry.at().error("must have a protocol");
    if (port === undefined || spoken === undefined) return [];
    if (seen.has(port)) entry.at("port").error(`${port} is given twice`);
    seen.add(port);
    if (service !== undefined) checkProtocol(service, spoken, entry.at("protocol"));
    return [{ port, protocol: spoken }];
  });
}

function checkProtocol(service: string, spoken: string, place: Place): void {
  const address = /^[\d.]+$/.test(service);
  if (isCidr(service) && !ofConnections.includes(spoken))
    place.error(`must be tcp or mongo, since ${service} is a block of addresses`);
  else if (!isCidr(service) && !address && ofConnections.includes(spoken))
    place.error(`must be one of http, https, http2, grpc, since ${service} is a domain`);
}
