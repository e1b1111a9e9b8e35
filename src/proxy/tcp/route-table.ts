/**
 * Which route a connection takes that is passed on as it is: by the port it was aimed at, then by
 * the longest block of addresses, then by the name that TLS asks for. Compiled at publish time;
 * to find a route allocates nothing.
 *
 *   port ─▶ blocks, longest first, then "any address" ─▶ name, longest first, then "any or none"
 *        ─▶ the first route whose own conditions hold; without one the search goes on
 */
import type { SocketAddress } from "../../io/socket-address.ts";
import { HostTable } from "../route/host-table.ts";
import { type AddressBlock, AddressWords } from "./address-block.ts";
import type { TcpRoute } from "./tcp-route.ts";

export interface ConditionalTcpRoute {
  readonly route: TcpRoute;
  /** Of the address that was called, and of the client's; empty: any. */
  readonly destinations: readonly AddressBlock[];
  readonly sources: readonly AddressBlock[];
}

export interface TcpDestination {
  /** "mysql.default.svc.cluster.local:3306" */
  readonly name: string;
  /** 0: any. */
  readonly port: number;
  /** Empty: any. */
  readonly addresses: readonly AddressBlock[];
  /** In lower case, "*.example.com" among them; empty: any, or none at all. */
  readonly serverNames: readonly string[];
  /** In order. */
  readonly routes: readonly ConditionalTcpRoute[];
}

/** By the name that TLS asks for. */
class NameTable {
  readonly #names: HostTable<TcpDestination> | undefined;
  readonly #bare: TcpDestination | undefined;

  constructor(destinations: readonly TcpDestination[]) {
    const byName = new Map<string, TcpDestination>();
    for (const destination of destinations)
      for (const name of destination.serverNames)
        if (!byName.has(name)) byName.set(name, destination);
    const entries = Array.from(byName, ([domain, value]) => ({ domain, value }));
    this.#names = entries.length === 0 ? undefined : new HostTable(entries);
    this.#bare = destinations.find(({ serverNames }) => serverNames.length === 0);
  }

  find(call: Call): TcpRoute | undefined {
    const { nameLength } = call;
    if (this.#names !== undefined && nameLength > 0) {
      const named = this.#names.find(call.name, 0, nameLength, DEFAULT_PORT);
      const route = named === undefined ? undefined : routeOf(named, call);
      if (route !== undefined) return route;
    }
    return this.#bare === undefined ? undefined : routeOf(this.#bare, call);
  }
}

/** The one with which a HostTable asks for a name as it is. */
const DEFAULT_PORT = 80;
/** RFC 1035 2.3.4; a longer name is none. */
const NAME_BYTES_MAX = 255;

/** What is looked for: scratch. */
class Call {
  readonly destination = new AddressWords();
  readonly source = new AddressWords();
  hasDestination = false;
  hasSource = false;
  readonly name = new Uint8Array(NAME_BYTES_MAX);
  nameLength = 0;

  set(destination: SocketAddress | undefined, serverName: string, source: string): void {
    this.hasDestination = destination !== undefined && this.destination.parse(destination.address);
    this.hasSource = this.source.parse(source);
    this.nameLength = serverName.length > NAME_BYTES_MAX ? 0 : serverName.length;
    for (let i = 0; i < this.nameLength; i++) {
      const code = serverName.charCodeAt(i);
      this.name[i] = code > 0x7f ? 0 : code;
    }
  }
}

function routeOf({ routes }: TcpDestination, call: Call): TcpRoute | undefined {
  for (let i = 0; i < routes.length; i++) {
    const { route, destinations, sources } = routes[i]!;
    if (!holds(destinations, call.destination, call.hasDestination)) continue;
    if (holds(sources, call.source, call.hasSource)) return route;
  }
  return undefined;
}

function holds(blocks: readonly AddressBlock[], address: AddressWords, known: boolean): boolean {
  if (blocks.length === 0) return true;
  if (!known) return false;
  for (let i = 0; i < blocks.length; i++) if (blocks[i]!.has(address)) return true;
  return false;
}

interface BlockNames {
  readonly block: AddressBlock;
  readonly names: NameTable;
}

/** By the address that was called. */
class PortTable {
  /** Longest first. */
  readonly #blocks: readonly BlockNames[];
  /** The last word of an address → those that end in it. */
  readonly #exact = new Map<number, BlockNames[]>();
  readonly #any: NameTable;

  constructor(destinations: readonly TcpDestination[]) {
    const byBlock = new Map<string, { block: AddressBlock; list: TcpDestination[] }>();
    for (const destination of destinations)
      for (const block of destination.addresses) {
        const found = byBlock.get(block.key);
        if (found === undefined) byBlock.set(block.key, { block, list: [destination] });
        else found.list.push(destination);
      }
    const all = Array.from(byBlock.values(), ({ block, list }) => ({
      block,
      names: new NameTable(list),
    }));
    for (const one of all.filter(({ block }) => block.isOne)) {
      const bucket = this.#exact.get(one.block.lastWord);
      if (bucket === undefined) this.#exact.set(one.block.lastWord, [one]);
      else bucket.push(one);
    }
    this.#blocks = all
      .filter(({ block }) => !block.isOne)
      .sort((a, b) => b.block.prefixBits - a.block.prefixBits);
    this.#any = new NameTable(destinations.filter(({ addresses }) => addresses.length === 0));
  }

  find(call: Call): TcpRoute | undefined {
    if (call.hasDestination) {
      const exact = this.#exact.get(call.destination.words[3]!);
      const found =
        (exact === undefined ? undefined : findIn(exact, call)) ?? findIn(this.#blocks, call);
      if (found !== undefined) return found;
    }
    return this.#any.find(call);
  }
}

function findIn(blocks: readonly BlockNames[], call: Call): TcpRoute | undefined {
  for (let i = 0; i < blocks.length; i++) {
    const { block, names } = blocks[i]!;
    if (!block.has(call.destination)) continue;
    const route = names.find(call);
    if (route !== undefined) return route;
  }
  return undefined;
}

export class TcpRouteTable {
  readonly destinations: readonly TcpDestination[];
  readonly #byPort: ReadonlyMap<number, PortTable>;
  readonly #byName: ReadonlyMap<string, TcpDestination>;
  readonly #call = new Call();

  /** Of equals the first counts. */
  constructor(destinations: readonly TcpDestination[]) {
    this.destinations = destinations;
    const byPort = Map.groupBy(destinations, ({ port }) => port);
    this.#byPort = new Map(Array.from(byPort, ([port, list]) => [port, new PortTable(list)]));
    this.#byName = new Map(destinations.map((destination) => [destination.name, destination]));
  }

  /** `serverName`: what TLS asks for, or ""; `source`: the client's address, or "". */
  find(destination: SocketAddress, serverName: string, source: string): TcpRoute | undefined {
    if (this.destinations.length === 0) return undefined;
    const call = this.#call;
    call.set(destination, serverName, source);
    return this.#byPort.get(destination.port)?.find(call) ?? this.#byPort.get(0)?.find(call);
  }

  /**
   * Of the destination of that name: for a listener of ours that stands for it, or an address that
   * is known to be its. `called`: the address that the client called, if it called one.
   */
  findNamed(name: string, called: SocketAddress | undefined, source: string): TcpRoute | undefined {
    const destination = this.#byName.get(name);
    if (destination === undefined) return undefined;
    this.#call.set(called, "", source);
    return routeOf(destination, this.#call);
  }
}
