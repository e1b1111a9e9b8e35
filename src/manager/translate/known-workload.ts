/**
 * Who runs where, for those who tell workloads by an address or an id: every instance of every
 * service, those of one workload put together. What is as it was keeps its message and its hash.
 */
import { create } from "@bufbuild/protobuf";
import { type KnownWorkload, KnownWorkloadSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { ServiceInstance } from "../../model/service.ts";
import { KNOWN_WORKLOADS_MAX } from "../../policy/workload-directory.ts";
import type { Catalog } from "./catalog.ts";
import { knownWorkloadResource, type Resource } from "./resource.ts";

interface Gathered {
  readonly id: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly labels: Record<string, string>;
  readonly addresses: string[];
  readonly ports: number[];
  readonly services: string[];
}

export class KnownWorkloads {
  #catalog: Catalog | undefined = undefined;
  #list: readonly Resource<KnownWorkload>[] = [];
  #kept: ReadonlyMap<string, Kept> = new Map();

  of(catalog: Catalog): readonly Resource<KnownWorkload>[] {
    if (catalog === this.#catalog) return this.#list;
    const kept = new Map<string, Kept>();
    for (const gathered of gather(catalog)) {
      const former = this.#kept.get(gathered.id);
      const isSame = former !== undefined && Bun.deepEquals(former.gathered, gathered);
      kept.set(gathered.id, isSame ? former : { gathered, resource: resourceOf(gathered) });
    }
    this.#catalog = catalog;
    this.#kept = kept;
    this.#list = Array.from(kept.values(), ({ resource }) => resource);
    return this.#list;
  }
}

interface Kept {
  readonly gathered: Gathered;
  readonly resource: Resource<KnownWorkload>;
}

function resourceOf(gathered: Gathered): Resource<KnownWorkload> {
  return knownWorkloadResource(create(KnownWorkloadSchema, gathered));
}

/** By rising host: services of a workload are in that order too. */
function gather(catalog: Catalog): Iterable<Gathered> {
  const byId = new Map<string, Gathered>();
  for (const host of [...catalog.hosts()].sort()) {
    const inService = catalog.service(host)?.namespace ?? "";
    for (const instance of catalog.instances(host)) {
      const id = idOf(instance);
      // What is resolved by name is no workload that anybody knows.
      if (id === "" || id === host) continue;
      let known = byId.get(id);
      if (known === undefined) {
        if (byId.size >= KNOWN_WORKLOADS_MAX) return byId.values();
        const { namespace = inService, serviceAccount = "", labels } = instance;
        const lists = { addresses: [], ports: [], services: [] };
        known = { id, namespace, serviceAccount, labels: { ...labels }, ...lists };
        byId.set(id, known);
      }
      add(known.addresses, instance.address);
      add(known.ports, instance.port);
      add(known.services, host);
    }
  }
  return byId.values();
}

function idOf({ workload, namespace }: ServiceInstance): string {
  return namespace === undefined ? workload : `${workload}.${namespace}`;
}

function add<T>(list: T[], value: T): void {
  if (!list.includes(value)) list.push(value);
}
