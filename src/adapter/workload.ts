/**
 * kubernetesenv: who calls and who is called, from the workloads that the mesh's registries know.
 * The original asked a Kubernetes API for pods; what it was told about that has no effect here.
 *
 *   uid, else IP (and of who is called, port) ─▶ directory ─▶ pod, workload, labels, account
 *
 * Where nobody is known there the outputs are absent, and bindings go by their defaults. Node, and
 * container, are known to no registry of ours. Spec table: mixer 4.
 */
import { parseIpAddress, shortestIpAddress } from "../attribute/ip-address.ts";
import type { Value } from "../attribute/value.ts";
import { ignored, message } from "../dialect/schema/message.ts";
import { type LocalHandler, localAdapter } from "../policy/adapter.ts";
import { orEmpty } from "../policy/read-parameters.ts";
import type { GenerateResult } from "../policy/result.ts";
import type { AnyInstance } from "../policy/template.ts";
import type { KnownWorkload, WorkloadDirectory } from "../policy/workload-directory.ts";
import {
  podNameOf,
  workloadCopyUid,
  workloadLabelsOf,
  workloadNameOf,
  workloadUidOf,
} from "../policy/workload-name.ts";

const noEffect = ignored("has no effect: workloads come from the registries of the mesh");
const fields = message({
  kubeconfigPath: noEffect,
  cacheRefreshDuration: noEffect,
  clusterRegistriesNamespace: noEffect,
  // Of releases before 1.0.
  podLabelForService: noEffect,
  podLabelForIstioComponentService: noEffect,
  fullyQualifiedIstioIngressServiceName: noEffect,
  lookupIngressSourceAndOriginValues: noEffect,
  clusterDomainName: noEffect,
});

type Side = "source" | "destination";
type Output = GenerateResult["output"];

const nobodyKnown: GenerateResult = { output: {}, fault: "" };

class Workloads implements LocalHandler {
  readonly #directory: WorkloadDirectory;
  readonly #known = {
    source: new WeakMap<KnownWorkload, GenerateResult>(),
    destination: new WeakMap<KnownWorkload, GenerateResult>(),
  };
  /** Of the last call between two that are known; calls come in runs. */
  #pair: Pair | undefined = undefined;

  constructor(directory: WorkloadDirectory) {
    this.#directory = directory;
  }

  generate(instance: AnyInstance): GenerateResult {
    if (instance.template !== "kubernetes") return nobodyKnown;
    const { sourceUid, sourceIp, destinationUid, destinationIp } = instance;
    const source = this.#about("source", this.#find(sourceUid, sourceIp, 0));
    const port = Number(instance.destinationPort ?? 0);
    const called = this.#find(destinationUid, destinationIp, port);
    const destination = this.#about("destination", called);
    if (source === nobodyKnown) return destination;
    return destination === nobodyKnown ? source : this.#both(source, destination);
  }

  close(): void {
    this.#pair = undefined;
  }

  /** Whoever is named is meant, and nobody else who may be at the address. */
  #find(
    uid: string | undefined,
    ip: Uint8Array | undefined,
    port: number,
  ): KnownWorkload | undefined {
    if (uid !== undefined && uid !== "") return this.#directory.byUid(uid);
    if (ip === undefined || isUnspecified(ip)) return undefined;
    return this.#directory.byAddress(ip, port);
  }

  #about(side: Side, workload: KnownWorkload | undefined): GenerateResult {
    if (workload === undefined) return nobodyKnown;
    const known = this.#known[side];
    let result = known.get(workload);
    if (result === undefined) {
      result = { output: outputOf(side, workload), fault: "" };
      known.set(workload, result);
    }
    return result;
  }

  #both(source: GenerateResult, destination: GenerateResult): GenerateResult {
    const last = this.#pair;
    if (last?.source === source && last.destination === destination) return last.result;
    const result = { output: { ...source.output, ...destination.output }, fault: "" };
    this.#pair = { source, destination, result };
    return result;
  }
}

interface Pair {
  readonly source: GenerateResult;
  readonly destination: GenerateResult;
  readonly result: GenerateResult;
}

function outputOf(side: Side, workload: KnownWorkload): Output {
  const { id, namespace, serviceAccount, addresses, services } = workload;
  const service = shortNameOf(services[0] ?? "");
  const name = workloadNameOf(id, service, workload.labels);
  const output: Record<string, Value> = {};
  const text = (field: string, value: string): void => {
    if (value !== "") output[side + field] = value;
  };
  text("PodUid", workloadCopyUid(id));
  text("PodName", podNameOf(id));
  text("Namespace", namespace);
  text("ServiceAccountName", serviceAccount);
  text("WorkloadName", name);
  text("WorkloadNamespace", namespace);
  text("WorkloadUid", workloadUidOf(namespace, name));
  text("Owner", workloadUidOf(namespace, name));
  output[`${side}Labels`] = workloadLabelsOf(service, workload.labels);
  const ip = parseIpAddress(addresses[0] ?? "");
  if (ip !== undefined) output[`${side}PodIp`] = shortestIpAddress(ip);
  return output;
}

/** "reviews" of "reviews.default.svc.cluster.local"; a host outside of the mesh as it is. */
function shortNameOf(host: string): string {
  const [name = "", , kind] = host.split(".");
  return kind === "svc" ? name : host;
}

function isUnspecified(ip: Uint8Array): boolean {
  return shortestIpAddress(ip).every((octet) => octet === 0);
}

const nobody: WorkloadDirectory = { byUid: () => undefined, byAddress: () => undefined };

export const workload = localAdapter<object>({
  name: "kubernetesenv",
  aliases: ["workload"],
  templates: ["kubernetes"],
  read: (place) => fields(orEmpty(place)),
  open: (_, { workloads }) => new Workloads(workloads ?? nobody),
});
