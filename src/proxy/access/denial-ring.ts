/**
 * The refusals of late, newest first, for operators: who was refused, by whom, and by which facts.
 * Bounded in number and in what is kept of each; of tokens nothing is kept.
 */

export const denialKinds = ["authorization", "jwt", "ext-authz", "mtls", "policy"] as const;
export type DenialKind = (typeof denialKinds)[number];

/** Also as JSON, in the admin port. */
export interface DenialRecord {
  /** Of the request: its x-request-id, or what its reply said; "": of a connection. */
  readonly id: string;
  /** Since 1970. */
  readonly timeMs: number;
  readonly kind: DenialKind;
  /** HTTP; 0: the connection was closed. */
  readonly status: number;
  /** "AuthorizationPolicy/default/deny-all" */
  readonly by: string;
  /** "rule 2"; "": none of them, or there is but one. */
  readonly rule: string;
  /** "rules/access.yaml:12" */
  readonly place: string;
  /** In plain words. */
  readonly reason: string;
  /** "cluster.local/ns/default/sa/web"; "": it proved none. */
  readonly principal: string;
  readonly sourceAddress: string;
  /** Of the client behind proxies that are believed. */
  readonly remoteAddress: string;
  readonly port: number;
  readonly serverName: string;
  /** Empty, as the next two: it was a connection. */
  readonly method: string;
  readonly host: string;
  /** Without query. */
  readonly path: string;
  readonly hasToken: boolean;
}

const KEPT_MAX = 1_000;
const TEXT_MAX = 512;

export class DenialRing {
  readonly #records: (DenialRecord | undefined)[] = [];
  #next = 0;

  add(record: DenialRecord): void {
    this.#records[this.#next] = shortened(record);
    this.#next = (this.#next + 1) % KEPT_MAX;
  }

  /** Newest first. `id`: of one request; "": of all. */
  list(id: string, max = KEPT_MAX): DenialRecord[] {
    const found: DenialRecord[] = [];
    for (let i = 1; i <= this.#records.length && found.length < max; i++) {
      const record = this.#records[(this.#next - i + KEPT_MAX) % KEPT_MAX];
      if (record !== undefined && (id === "" || record.id === id)) found.push(record);
    }
    return found;
  }
}

/** What a stranger wrote is kept up to a length. */
function shortened(record: DenialRecord): DenialRecord {
  const { id, method, host, path, serverName } = record;
  if (Math.max(id.length, method.length, host.length, path.length, serverName.length) <= TEXT_MAX)
    return record;
  const cut = (text: string): string =>
    text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
  return {
    ...record,
    ...{ id: cut(id), method: cut(method), host: cut(host), path: cut(path) },
    serverName: cut(serverName),
  };
}

/** Of several threads. */
export function mergeDenials<T extends DenialRecord>(lists: readonly (readonly T[])[]): T[] {
  return lists
    .flat()
    .sort((a, b) => b.timeMs - a.timeMs)
    .slice(0, KEPT_MAX);
}
