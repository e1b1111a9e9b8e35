/**
 * Which certificate a listener shows to a client that asks for a server name: the one whose hosts
 * name it, else the one for a wildcard of its first label, else the one that is for any. Who asks
 * for nobody gets the first. Others are refused: a stranger's certificate helps nobody.
 */
import type { KeyedCertificate } from "../../io/certificate.ts";
import type { CertificateChoice } from "../../io/certificate-store.ts";
import { wildcardOf } from "../../io/host-name.ts";
import type { EdgeCertificate } from "../snapshot/edge-listener.ts";

export class ServerNameTable implements CertificateChoice {
  readonly #certificateOf: (name: string) => KeyedCertificate | undefined;
  #byHost: ReadonlyMap<string, string> = new Map();
  #any: string | undefined = undefined;
  #first: string | undefined = undefined;

  /** `certificateOf`: what there is by that name, at the time of the handshake. */
  constructor(certificateOf: (name: string) => KeyedCertificate | undefined) {
    this.#certificateOf = certificateOf;
  }

  publish(certificates: readonly EdgeCertificate[]): void {
    const byHost = new Map<string, string>();
    for (const { name, hosts } of certificates)
      for (const host of hosts) if (!byHost.has(host)) byHost.set(host, name);
    this.#byHost = byHost;
    this.#any = certificates.find(({ hosts }) => hosts.length === 0)?.name;
    this.#first = certificates[0]?.name;
  }

  /** Whether a certificate is named for it, there or not; "": for who asks for nobody. */
  claims(serverName: string): boolean {
    return (serverName === "" ? this.#first : this.#nameOf(serverName)) !== undefined;
  }

  get default(): KeyedCertificate | undefined {
    return this.#named(this.#first);
  }

  find(serverName: string): KeyedCertificate | undefined {
    if (serverName === "") return this.default;
    return this.#named(this.#nameOf(serverName));
  }

  #nameOf(serverName: string): string | undefined {
    const byHost = this.#byHost;
    return byHost.get(serverName) ?? byHost.get(wildcardOf(serverName)) ?? this.#any;
  }

  #named(name: string | undefined): KeyedCertificate | undefined {
    return name === undefined ? undefined : this.#certificateOf(name);
  }
}
