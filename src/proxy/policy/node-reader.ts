/**
 * Attributes of the two workloads of a call. One of them is this proxy's own, and constant; what is
 * known of the other comes from its connection, or from the endpoint that was chosen.
 */
import { parseShortestIpAddress } from "../../attribute/ip-address.ts";
import type { Value, ValueType } from "../../attribute/value.ts";
import type { Endpoint, EndpointFacts } from "../cluster/endpoint.ts";
import { type ServiceName, serviceNameOf } from "../cluster/service-name.ts";
import type { Reader } from "./exchange-bag.ts";
import type { CallFacts } from "./exchange-facts.ts";
import { type PolicyNode, type Workload, workloadOf } from "./workload.ts";
import type { Caller } from "./workload-claim.ts";

/** Which side of a call reports it: the caller's proxy, or that of who is called. */
export type ReporterKind = "outbound" | "inbound";

export type Add<Facts> = (name: string, type: ValueType, read: Reader<Facts>) => void;

export function addWorkloads(add: Add<CallFacts>, node: PolicyNode, kind: ReporterKind): void {
  const service = serviceNameOf(node.service);
  const own = workloadOf({ ...node, service });
  const ip = parseShortestIpAddress(node.address);
  const isCaller = kind === "outbound";
  addOwn(add, isCaller ? "source" : "destination", own);
  if (isCaller) {
    addPeerOf(add, ip);
    addEndpoint(add, new EndpointWorkloads());
  } else addCaller(add);
  if (node.service !== "" && isCaller) add("source.service", "STRING", always(service.host));
  addService(add);
}

function addOwn(add: Add<CallFacts>, side: "source" | "destination", own: Workload): void {
  const text = (name: string, value: string): void => {
    if (value !== "") add(`${side}.${name}`, "STRING", always(value));
  };
  text("uid", own.uid);
  text("name", own.podName);
  text("namespace", own.namespace);
  text("owner", own.owner);
  text("workload.name", own.name);
  text("workload.namespace", own.namespace);
  text("workload.uid", own.workloadUid);
  add(`${side}.labels`, "STRING_MAP", always(own.labels));
}

/** Outbound: the application beside this proxy. */
function addPeerOf(add: Add<CallFacts>, ip: Uint8Array | undefined): void {
  const read: Reader<CallFacts> = ({ connection }) => connection.sourceIp ?? ip;
  add("source.ip", "IP_ADDRESS", read);
  add("origin.ip", "IP_ADDRESS", (facts) => facts.originIp ?? read(facts));
  add("source.port", "INT64", ({ connection }) => connection.source.port);
}

/** Inbound: whoever called, as far as its connection proves it, or its sidecar says. */
function addCaller(add: Add<CallFacts>): void {
  const ip: Reader<CallFacts> = ({ connection }) => connection.sourceIp;
  add("source.ip", "IP_ADDRESS", ip);
  add("origin.ip", "IP_ADDRESS", ip);
  add("source.port", "INT64", ({ connection }) => connection.source.port);
  add("source.namespace", "STRING", ({ connection: { namespace, caller } }) =>
    namespace === "" ? caller?.namespace : namespace,
  );
  const of = (name: string, read: (caller: Caller) => string): void =>
    add(name, "STRING", ({ connection: { caller } }) =>
      caller === undefined ? undefined : read(caller) || undefined,
    );
  of("source.uid", ({ uid }) => uid);
  of("source.name", ({ podName }) => podName);
  of("source.owner", ({ owner }) => owner);
  of("source.service", ({ service }) => service);
  of("source.workload.name", ({ name }) => name);
  of("source.workload.namespace", ({ namespace }) => namespace);
  of("source.workload.uid", ({ workloadUid }) => workloadUid);
  add("source.labels", "STRING_MAP", ({ connection: { caller } }) => caller?.labels);
  add("destination.ip", "IP_ADDRESS", ({ connection }) => connection.localIp);
  add("destination.port", "INT64", ({ port }) => port || undefined);
}

/** Outbound: the service as a whole, and the endpoint once there is one. */
function addEndpoint(add: Add<CallFacts>, workloads: EndpointWorkloads): void {
  const addresses = new EndpointAddresses();
  const of = (type: ValueType, name: string, read: (workload: Workload) => Value): void =>
    add(`destination.${name}`, type, ({ endpoint, service }) => {
      if (endpoint === undefined) return undefined;
      const value = read(workloads.of(endpoint, service));
      return value === "" ? undefined : value;
    });
  of("STRING", "uid", ({ uid }) => uid);
  of("STRING", "name", ({ podName }) => podName);
  add("destination.namespace", "STRING", ({ endpoint, service }) => {
    if (endpoint === undefined) return service?.namespace || undefined;
    return workloads.of(endpoint, service).namespace || undefined;
  });
  of("STRING", "owner", ({ owner }) => owner);
  of("STRING", "workload.name", ({ name }) => name);
  of("STRING", "workload.namespace", ({ namespace }) => namespace);
  of("STRING", "workload.uid", ({ workloadUid }) => workloadUid);
  add("destination.labels", "STRING_MAP", ({ endpoint, service }) =>
    endpoint === undefined ? service?.labels : workloads.of(endpoint, service).labels,
  );
  add("destination.ip", "IP_ADDRESS", ({ endpoint }) => endpoint && addresses.of(endpoint));
  add("destination.port", "INT64", ({ endpoint }) => endpoint?.port);
}

function addService(add: Add<CallFacts>): void {
  const of = (name: string, read: (service: ServiceName) => string): void =>
    add(name, "STRING", ({ service }) => (service && read(service)) || undefined);
  of("destination.service", ({ host }) => host);
  of("destination.service.host", ({ host }) => host);
  of("destination.service.name", ({ name }) => name);
  of("destination.service.namespace", ({ namespace }) => namespace);
  of("destination.service.uid", ({ uid }) => uid);
}

/** What an endpoint was registered with, in the names of rules; made when first asked for. */
class EndpointWorkloads {
  readonly #known = new WeakMap<EndpointFacts, Workload>();
  readonly #nobody = serviceNameOf("");
  #last: EndpointFacts | undefined = undefined;
  #lastWorkload: Workload | undefined = undefined;

  of({ facts }: Endpoint, service: ServiceName | undefined): Workload {
    if (facts === this.#last) return this.#lastWorkload!;
    let workload = this.#known.get(facts);
    if (workload === undefined) {
      const { workload: id, labels } = facts;
      workload = workloadOf({ id, service: service ?? this.#nobody, namespace: "", labels });
      this.#known.set(facts, workload);
    }
    this.#last = facts;
    this.#lastWorkload = workload;
    return workload;
  }
}

/** The address of an endpoint stays what it is: it is read once. */
class EndpointAddresses {
  readonly #known = new WeakMap<Endpoint, { readonly ip: Uint8Array | undefined }>();

  of(endpoint: Endpoint): Uint8Array | undefined {
    let known = this.#known.get(endpoint);
    if (known === undefined) {
      known = { ip: parseShortestIpAddress(endpoint.address) };
      this.#known.set(endpoint, known);
    }
    return known.ip;
  }
}

export function always(value: Value): () => Value {
  return () => value;
}
