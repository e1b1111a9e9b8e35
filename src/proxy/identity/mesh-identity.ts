/**
 * Who this proxy is to other proxies, and whom it believes: its certificate, the roots, and what
 * follows from both for connections in either direction. All of it may be replaced while it runs:
 * what is new counts for the next connection, and no connection that stands is touched.
 *
 *   manager ─▶ WorkloadCredential ─certificate─▶ MeshIdentity ─▶ ServerTls: who calls us
 *   manager ─▶ ProxyConfig.trust ────roots─────▶              ─▶ ClientTls: for each identity
 */
import type { TrustBundle as TrustMessage } from "../../api/gen/mesh/v1/identity_pb.ts";
import type { Problem } from "../../core/problem.ts";
import { inTrustDomains, parseSpiffeId } from "../../core/spiffe-id.ts";
import { parseTrustBundle, type TrustBundle } from "../../io/certificate.ts";
import { CertificateStore } from "../../io/certificate-store.ts";
import type { TlsFacts } from "../../io/tls-facts.ts";
import type { TlsFault } from "../../io/tls-fault.ts";
import { ClientTls, ServerTls, type TrustSource } from "../../io/tls-settings.ts";

/** What is spoken inside, as ALPN says it: a client that offers one of these is a proxy of ours. */
export type MeshProtocol = "mesh-h2" | "mesh-http/1.1" | "mesh-tcp";

/** A leaf, with what issued it, and its key. */
export interface WorkloadKeyPair {
  readonly chainPem: string;
  readonly keyPem: string;
}

/** One for each protocol, with what they have in common. */
interface Known {
  /** Those that a peer of this identity may prove. */
  readonly uris: Set<string>;
  readonly byProtocol: Map<MeshProtocol, ClientTls>;
}

/** Of other protocols too: where all TLS ends here a client may be none of ours. */
const SERVED: readonly string[] = ["mesh-h2", "mesh-http/1.1", "mesh-tcp", "h2", "http/1.1"];

export class MeshIdentity implements TrustSource {
  readonly server: ServerTls;
  readonly #certificates = new CertificateStore();
  readonly #known = new Map<string, Known>();
  #trust: TrustBundle | undefined = undefined;
  #domains: ReadonlySet<string> = new Set();

  constructor() {
    this.server = new ServerTls({
      certificates: this.#certificates,
      protocols: SERVED,
      clientCertificate: "required",
      clientRoots: this,
    });
  }

  /** Whom peers' certificates have to lead to; undefined: nobody is believed. */
  get trust(): TrustBundle | undefined {
    return this.#trust;
  }

  /** It has been given a certificate, be it one that has expired since. */
  get isKnown(): boolean {
    return this.#certificates.default !== undefined;
  }

  /** For new connections from now on; errors leave everything as it was. */
  useCertificate({ chainPem, keyPem }: WorkloadKeyPair, nowMs: number): readonly Problem[] {
    const file = "the workload's certificate";
    const pair = { certificate: { file, text: chainPem }, key: { file, text: keyPem } };
    return this.#certificates.set(pair, nowMs);
  }

  /** The same for whom to believe. Without a word of that, what was said last goes on. */
  useTrust(message: TrustMessage | undefined, nowMs: number): readonly Problem[] {
    if (message === undefined) return [];
    this.#useDomains([message.trustDomain, ...message.trustDomainAliases]);
    const text = message.rootPems.map((pem) => `${pem.trim()}\n`).join("");
    const { value, problems } = parseTrustBundle({ file: "the mesh's roots", text }, nowMs);
    if (value !== undefined && value.pem !== this.#trust?.pem) this.#trust = value;
    return problems;
  }

  /**
   * For connections to a proxy that has to prove this identity; the same object each time.
   * Undefined: this proxy was never given a certificate.
   */
  clientTls(identity: string, protocol: MeshProtocol): ClientTls | undefined {
    if (!this.isKnown) return undefined;
    const known = this.#known.get(identity) ?? this.#make(identity);
    let tls = known.byProtocol.get(protocol);
    if (tls === undefined) {
      tls = new ClientTls({
        serverName: "",
        expected: { host: "", uris: known.uris, soleUri: true },
        roots: this,
        certificates: this.#certificates,
        protocols: [protocol],
      });
      known.byProtocol.set(protocol, tls);
    }
    return tls;
  }

  /** Forgets those that nobody has any more; connections to them live on. */
  keep(identities: ReadonlySet<string>): void {
    for (const identity of this.#known.keys())
      if (!identities.has(identity)) this.#known.delete(identity);
  }

  /** Of a client whose certificate leads to our roots; undefined: it is of this mesh. */
  judge({ peer }: TlsFacts): TlsFault | undefined {
    const [uri] = peer?.names.uris ?? [];
    const isSole = uri !== undefined && peer?.names.uriCount === 1;
    const domain = isSole ? parseSpiffeId(uri)?.trustDomain : undefined;
    return domain !== undefined && this.#domains.has(domain) ? undefined : "wrong-identity";
  }

  #make(identity: string): Known {
    const known: Known = { uris: new Set(this.#namesOf(identity)), byProtocol: new Map() };
    this.#known.set(identity, known);
    return known;
  }

  /** Domains of the same mesh stand for each other. */
  #namesOf(identity: string): ReadonlySet<string> {
    const domain = parseSpiffeId(identity)?.trustDomain;
    const isOurs = domain !== undefined && this.#domains.has(domain);
    return isOurs ? inTrustDomains([identity], [...this.#domains]) : new Set([identity]);
  }

  #useDomains(domains: readonly string[]): void {
    const wanted = new Set(domains.filter((domain) => domain !== ""));
    if (wanted.size === this.#domains.size && wanted.isSubsetOf(this.#domains)) return;
    this.#domains = wanted;
    for (const [identity, { uris }] of this.#known) {
      uris.clear();
      for (const name of this.#namesOf(identity)) uris.add(name);
    }
  }
}

/** Whether a client says by its ALPN that it is a proxy of ours. */
export function isOfMesh(protocols: readonly string[]): boolean {
  return protocols.some((protocol) => protocol.startsWith("mesh-"));
}
