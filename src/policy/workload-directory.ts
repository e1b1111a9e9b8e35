/**
 * Who runs where: the workloads that registries know, as generators of attributes look them up.
 *
 *   registries ─▶ replace ─▶ index, by one assignment ◀─ byUid, byAddress ◀─ generators
 *
 * An address says who is meant only where one workload is there: of several behind it, the port
 * decides; without one nobody is named, since a wrong name is worse than none.
 */
import { formatIpAddress, parseIpAddress, shortestIpAddress } from "../attribute/ip-address.ts";
import { type WorkloadLabels, workloadCopyId } from "./workload-name.ts";

export interface KnownWorkload {
  /** "reviews-1x8k2m.default", unique. */
  readonly id: string;
  readonly namespace: string;
  /** "": not known. */
  readonly serviceAccount: string;
  readonly labels: WorkloadLabels;
  /** IP addresses; host names name nobody. */
  readonly addresses: readonly string[];
  /** Where it listens at each of them. */
  readonly ports: readonly number[];
  /** Full host names; the first names the workload. */
  readonly services: readonly string[];
}

export interface WorkloadDirectory {
  /** "kubernetes://reviews-1x8k2m.default", or the id alone. */
  byUid(uid: string): KnownWorkload | undefined;
  /** `port` 0: not known. */
  byAddress(ip: Uint8Array, port: number): KnownWorkload | undefined;
}

/** More than a registry takes; those beyond are not known. */
export const KNOWN_WORKLOADS_MAX = 100_000;
const PLACES_EACH_MAX = 64;

/** `null`: several are meant. */
type ByPlace = Map<string, KnownWorkload | null>;

interface Index {
  readonly byId: ReadonlyMap<string, KnownWorkload>;
  readonly byIp: ByPlace;
  /** "10.0.0.1|9080" */
  readonly byPort: ByPlace;
}

export class WorkloadIndex implements WorkloadDirectory {
  #index: Index = indexOf([]);

  /** What is known from now on. Of two with one id the first counts. */
  replace(workloads: Iterable<KnownWorkload>): void {
    this.#index = indexOf(workloads);
  }

  get size(): number {
    return this.#index.byId.size;
  }

  byUid(uid: string): KnownWorkload | undefined {
    return this.#index.byId.get(workloadCopyId(uid));
  }

  byAddress(ip: Uint8Array, port: number): KnownWorkload | undefined {
    const { byIp, byPort } = this.#index;
    if (byIp.size === 0) return undefined;
    const text = formatIpAddress(shortestIpAddress(ip));
    const alone = byIp.get(text);
    if (alone !== null) return alone;
    return byPort.get(`${text}|${port}`) ?? undefined;
  }
}

function indexOf(workloads: Iterable<KnownWorkload>): Index {
  const byId = new Map<string, KnownWorkload>();
  const [byIp, byPort]: [ByPlace, ByPlace] = [new Map(), new Map()];
  for (const workload of workloads) {
    if (byId.size >= KNOWN_WORKLOADS_MAX) break;
    if (workload.id === "" || byId.has(workload.id)) continue;
    byId.set(workload.id, workload);
    for (const address of workload.addresses.slice(0, PLACES_EACH_MAX)) {
      const bytes = parseIpAddress(address);
      if (bytes === undefined) continue;
      const ip = formatIpAddress(shortestIpAddress(bytes));
      put(byIp, ip, workload);
      for (const port of workload.ports.slice(0, PLACES_EACH_MAX))
        put(byPort, `${ip}|${port}`, workload);
    }
  }
  return { byId, byIp, byPort };
}

function put(places: ByPlace, place: string, workload: KnownWorkload): void {
  const former = places.get(place);
  places.set(place, former === undefined || former === workload ? workload : null);
}
