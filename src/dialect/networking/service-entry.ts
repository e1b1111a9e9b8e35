/**
 * ServiceEntry of networking.istio.io: a service of the static registry. What may be written
 * depends on how its instances are found (`resolution`). Spec table: manager 1.15.
 */
import type { ServiceEntry, WorkloadEntry } from "../../model/service.ts";
import { checkSubnet, isCidr } from "../../model/validate-address.ts";
import { checkDnsLabel, checkFqdn, checkModernDomain } from "../../model/validate-name.ts";
import { list, message, type Reader, toRecord, type ValueOf } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { checkedText, oneOf, text } from "../schema/scalar.ts";
import { readPorts, servicePort } from "./service-port.ts";
import { type AddressForm, toWorkload, workload, workloadLabels } from "./workload-entry.ts";

const host: Reader<string> = (place) => {
  const value = text(place);
  if (value === undefined) return undefined;
  const complaint = value === "*" ? "would claim every host" : checkModernDomain(value, "wildcard");
  if (complaint === undefined) return value.toLowerCase().replace(/\.$/, "");
  place.error(`"${value}" ${complaint}`);
  return undefined;
};

const resolutions = ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] as const;

const written = message({
  hosts: list(host),
  addresses: list(checkedText(checkSubnet)),
  ports: list(servicePort),
  location: oneOf("MESH_EXTERNAL", "MESH_INTERNAL"),
  resolution: oneOf(...resolutions),
  endpoints: list(workload),
  workloadSelector: message({ labels: workloadLabels }),
  exportTo: list(text),
  subjectAltNames: list(text),
});

type Written = NonNullable<ValueOf<typeof written>>;

/** Of the object that holds the entry. */
export interface Holder {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Undefined after the problems have been reported. */
export function readServiceEntry(place: Place, holder: Holder): ServiceEntry | undefined {
  const entry = written(place);
  if (entry === undefined) return undefined;
  if (!entry.has("hosts")) entry.at().error("must have at least one host");
  else if (entry.hosts?.length === 0 && place.reading.errors === 0)
    entry.at("hosts").error("must have at least one host");
  const resolution = entry.resolution ?? "NONE";
  const ports = readPorts(entry.ports ?? []);
  checkAddresses(entry, resolution);
  checkHosts(entry, resolution, ports);
  checkExportTo(entry, holder.namespace);
  if (entry.has("workloadSelector") && entry.has("endpoints"))
    entry.at("workloadSelector").error("must not stand beside endpoints");
  const endpoints = readEndpoints(entry, resolution);
  if (resolution === "DYNAMIC_DNS") checkDynamic(entry, holder);
  warnAbout(entry, resolution);
  return {
    hosts: entry.hosts ?? [],
    addresses: entry.addresses ?? [],
    ports: ports.map(({ port }) => port),
    location: entry.location ?? "MESH_EXTERNAL",
    resolution,
    endpoints,
    ...(entry.workloadSelector && {
      workloadSelector: toRecord(entry.workloadSelector.labels),
    }),
  };
}

type Resolution = ServiceEntry["resolution"];
type Ports = ReturnType<typeof readPorts>;

function checkAddresses(entry: Written, resolution: Resolution): void {
  if (resolution === "NONE" || resolution === "STATIC") return;
  if ((entry.addresses ?? []).some(isCidr))
    entry.at("addresses").error("may be blocks of addresses for resolution NONE and STATIC only");
}

function checkHosts(entry: Written, resolution: Resolution, ports: Ports): void {
  const hosts = entry.hosts ?? [];
  if (hosts.length > 1 && resolution !== "NONE") {
    const vague = ports.find(({ tellsHosts }) => !tellsHosts);
    vague?.at.error("must be HTTP or TLS, since the entry has several hosts");
  }
  const byName = resolution === "DNS" || resolution === "DNS_ROUND_ROBIN";
  if (!byName || entry.has("endpoints")) return;
  for (const name of hosts)
    if (checkFqdn(name) !== undefined)
      entry.at("hosts").error(`"${name}" cannot be resolved`, "list endpoints");
}

const forms: Readonly<Record<Resolution, readonly AddressForm[]>> = {
  NONE: ["ip", "name", "unix"],
  STATIC: ["ip", "unix"],
  DNS: ["ip", "name"],
  DNS_ROUND_ROBIN: ["ip", "name"],
  DYNAMIC_DNS: ["ip", "name"],
};

function readEndpoints(entry: Written, resolution: Resolution): readonly WorkloadEntry[] {
  const endpoints = entry.endpoints ?? [];
  if (endpoints.length > 0 && (resolution === "NONE" || resolution === "DYNAMIC_DNS"))
    entry.at("endpoints").error(`has no place beside resolution ${resolution}`);
  if (endpoints.length > 1 && resolution === "DNS_ROUND_ROBIN")
    entry.at("endpoints").error("may be one at most for resolution DNS_ROUND_ROBIN");
  const names = new Set((entry.ports ?? []).map(({ name }) => name));
  return endpoints.flatMap((endpoint) => {
    for (const { key, at } of endpoint.ports ?? [])
      if (!names.has(key)) at.error(`port "${key}" is not one of the entry's ports`);
    const socket = endpoint.address?.startsWith("unix://") ?? false;
    if (socket && entry.ports?.length !== 1)
      endpoint.at("address").error("may be a socket only where the entry has one port");
    return toWorkload(endpoint, forms[resolution]) ?? [];
  });
}

/** Namespaces that see the entry: names, "." for its own, "*" for all, "~" for none. */
function checkExportTo(entry: Written, namespace: string): void {
  const targets = entry.exportTo ?? [];
  const at = entry.at("exportTo");
  const seen = new Set<string>();
  for (const target of targets) {
    const alone = target === "*" || target === "~";
    if (alone && targets.length > 1) at.error(`"${target}" must stand alone`);
    const name = target === "." ? namespace : target;
    const complaint = alone ? undefined : checkDnsLabel(name);
    if (complaint !== undefined) at.error(`"${target}" ${complaint}`);
    if (seen.has(name)) at.error(`"${target}" is given twice`);
    seen.add(name);
  }
}

/** Hosts that are resolved when they are called: any name below a wildcard. */
function checkDynamic(entry: Written, holder: Holder): void {
  for (const name of entry.hosts ?? [])
    if (!name.startsWith("*"))
      entry.at("hosts").error(`"${name}" must be a wildcard for resolution DYNAMIC_DNS`);
  if ((entry.addresses ?? []).length > 0)
    entry.at("addresses").error("has no place beside resolution DYNAMIC_DNS");
  for (const { port, at, tellsHosts } of readPorts(entry.ports ?? [], "quiet"))
    if (!tellsHosts) at.error(`${port.protocol} cannot tell hosts apart for DYNAMIC_DNS`);
  if (entry.location === "MESH_INTERNAL" && holder.labels["istio.io/use-waypoint"] !== undefined)
    entry.at("location").error("must be MESH_EXTERNAL for DYNAMIC_DNS with a waypoint");
}

function warnAbout(entry: Written, resolution: Resolution): void {
  if (entry.ports?.some(({ protocol }) => protocol === "TCP") && !entry.addresses?.length)
    entry.at("ports").warn("TCP without addresses is told apart by its port alone");
  if (entry.has("workloadSelector") && resolution === "NONE")
    entry.at("workloadSelector").warn("has no effect with resolution NONE", "use STATIC");
  if (entry.has("exportTo") && entry.exportTo?.[0] !== "*")
    entry.at("exportTo").warn("is not obeyed yet: every namespace sees the entry");
  if (entry.has("subjectAltNames"))
    entry.at("subjectAltNames").warn("is not obeyed yet: connections are not encrypted");
}
