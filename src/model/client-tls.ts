/** How callers' proxies secure their connections to a destination. Spec table: manager 1.14. */
export interface ClientTlsSettings {
  /** DISABLE: none, also where the port's protocol would ask for it. */
  /** ISTIO_MUTUAL: with the identities of the mesh, and no other way. */
  readonly mode: "DISABLE" | "SIMPLE" | "MUTUAL" | "ISTIO_MUTUAL";
  /** Empty: the host that is called. */
  readonly sni: string;
  /** Empty: the name asked for. */
  readonly subjectAltNames: readonly string[];
  /** Empty: the system's roots. */
  readonly caCertificates: string;
  /** Of MUTUAL. */
  readonly clientCertificate: string;
  readonly privateKey: string;
  readonly insecureSkipVerify: boolean;
}
