/**
 * How a cluster's connections are secured, compiled once for each configuration of it. Compared by
 * identity: connections of one are no other's.
 */
import type { ExpectedIdentity } from "../../io/peer-identity.ts";
import { ClientTls } from "../../io/tls-settings.ts";
import type { CredentialPaths, Credentials } from "./upstream-credentials.ts";

export interface UpstreamTlsSettings extends CredentialPaths {
  /** Empty: the host that is called. */
  readonly sni: string;
  /** DNS names and "spiffe://…"; empty: the name asked for. */
  readonly subjectAltNames: readonly string[];
  readonly insecureSkipVerify: boolean;
  /** What is meant, where it is one host; empty: the endpoint's own address, a name. */
  readonly host: string;
  /** ALPN. */
  readonly protocols: readonly string[];
}

export class UpstreamTls {
  readonly settings: UpstreamTlsSettings;
  readonly #credentials: Credentials;
  readonly #common: ClientTls | undefined;

  constructor(settings: UpstreamTlsSettings, credentials: Credentials) {
    this.settings = settings;
    this.#credentials = credentials;
    const name = settings.sni || settings.host;
    this.#common = name === "" ? undefined : this.#make(name, settings.protocols);
  }

  /** For connections to an endpoint at this address. Made once for each pool. */
  to(address: string): ClientTls {
    return this.#common ?? this.#make(address, this.settings.protocols);
  }

  /** For a connection to it that speaks something else than the cluster does. */
  speaking(protocols: readonly string[], address: string): ClientTls {
    return this.#make(this.settings.sni || this.settings.host || address, protocols);
  }

  #make(name: string, protocols: readonly string[]): ClientTls {
    const { insecureSkipVerify, subjectAltNames } = this.settings;
    const { roots, certificates } = this.#credentials;
    return new ClientTls({
      serverName: name,
      expected: insecureSkipVerify ? "anybody" : expectedOf(subjectAltNames, name),
      roots,
      protocols,
      ...(certificates && { certificates }),
    });
  }
}

function expectedOf(alternatives: readonly string[], name: string): ExpectedIdentity {
  const isUri = (text: string): boolean => text.includes("://");
  if (alternatives.length === 0) return { host: name, uris: new Set() };
  const [host = "", ...others] = alternatives.filter((text) => !isUri(text));
  return { host, otherHosts: others, uris: new Set(alternatives.filter(isUri)) };
}
