/**
 * What is agreed on with peers, compiled to the options that Bun takes: once for each certificate,
 * not for each connection (Bun finds the library's context again by their content).
 *
 * Hardening: TLS 1.2 and 1.3; with 1.2 only forward secrecy and AEAD; no tickets, which also ends
 * resumption by session id: a resumed session is not asked for its certificate again, and an
 * expired one would pass. No early data, compression or renegotiation: the library has none.
 */
import { constants } from "node:crypto";
import { getCACertificates } from "node:tls";
import type { KeyedCertificate, TrustBundle } from "./certificate.ts";
import type { CertificateChoice, CertificateStore } from "./certificate-store.ts";
import { isHostName } from "./host-name.ts";
import type { ExpectedIdentity } from "./peer-identity.ts";
import { encodeSocketAddress } from "./socket-address.ts";

export type TlsVersion = "1.2" | "1.3";

/** What of a client's certificate is asked for, and what is done about a bad one. */
export type ClientCertificateMode =
  /** Not asked for. */
  | "none"
  /** Asked for; a missing or bad one is the owner's to judge, by the facts. */
  | "reported"
  /** Asked for; none is fine, a bad one is refused. */
  | "optional"
  | "required";

/** Roots that may be replaced while connections come: CertificateFiles is one. */
export interface TrustSource {
  /** Undefined: nobody can be verified, and who would have to be is refused. */
  readonly trust: TrustBundle | undefined;
}

/** The same, where they differ by the certificate that we show. */
export interface TrustByCertificate {
  trustFor(certificate: KeyedCertificate): TrustBundle | undefined;
}

interface CommonOptions {
  /** ALPN, most wanted first; none: not spoken. */
  readonly protocols?: readonly string[];
  /** "1.2" unless told. */
  readonly minimumVersion?: TlsVersion;
  /** "1.3" unless told. */
  readonly maximumVersion?: TlsVersion;
}

export interface ServerTlsOptions extends CommonOptions {
  readonly certificates: CertificateChoice;
  /** Who names nobody, or nobody we know: gets the default certificate unless told. */
  readonly unknownName?: "default" | "refuse";
  /** "none" unless told. */
  readonly clientCertificate?: ClientCertificateMode;
  /** For all modes but "none". */
  readonly clientRoots?: TrustSource | TrustByCertificate;
}

export interface ClientTlsOptions extends CommonOptions {
  /** For SNI: a host name; "" or an address: none is sent. */
  readonly serverName: string;
  /** "anybody": not even the chain has to be good. */
  readonly expected: ExpectedIdentity | "anybody";
  readonly roots: TrustSource;
  /** The client's certificate is the default of these; none: none is shown. */
  readonly certificates?: CertificateStore;
}

/** Bun's options; `isServer` and the numbers are not in its types. */
export interface NativeTls {
  readonly isServer?: true;
  readonly key?: string;
  readonly cert?: string;
  readonly ca?: string;
  readonly serverName?: string;
  readonly requestCert?: boolean;
  readonly rejectUnauthorized: boolean;
  readonly ALPNProtocols?: Buffer;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly ciphers: string;
  readonly secureOptions: number;
}

const VERSIONS: Readonly<Record<TlsVersion, number>> = { "1.2": 0x0303, "1.3": 0x0304 };
/** Of TLS 1.2; those of 1.3 are all good. */
const CIPHERS = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

export class ServerTls {
  readonly certificates: CertificateChoice;
  readonly unknownName: "default" | "refuse";
  readonly clientCertificate: ClientCertificateMode;
  readonly #roots: TrustSource | TrustByCertificate | undefined;
  readonly #common: ReturnType<typeof commonOf>;
  readonly #compiled = new WeakMap<KeyedCertificate, Compiled>();

  constructor(options: ServerTlsOptions) {
    this.certificates = options.certificates;
    this.unknownName = options.unknownName ?? "default";
    this.clientCertificate = options.clientCertificate ?? "none";
    this.#roots = options.clientRoots;
    this.#common = commonOf(options);
  }

  /** For a client that asks for `serverName`, "" being nobody; undefined: nobody of ours. */
  choose(serverName: string): KeyedCertificate | undefined {
    const { certificates, unknownName } = this;
    return (
      certificates.find(serverName) ??
      (unknownName === "default" ? certificates.default : undefined)
    );
  }

  /** Undefined: clients are to be verified, and there are no roots. */
  nativeFor(certificate: KeyedCertificate): NativeTls | undefined {
    const trust = trustOf(this.#roots, certificate);
    const before = this.#compiled.get(certificate);
    if (before !== undefined && before.trust === trust) return before.native;
    const mode = this.clientCertificate;
    // Without roots of ours the library would take those of the web.
    if (mode !== "none" && trust === undefined) return undefined;
    const native: NativeTls = {
      ...this.#common,
      isServer: true,
      key: certificate.keyPem,
      cert: certificate.chainPem,
      ...(mode !== "none" && trust !== undefined && { ca: trust.pem }),
      requestCert: mode !== "none",
      rejectUnauthorized: mode === "required",
    };
    this.#compiled.set(certificate, { trust, native });
    return native;
  }
}

function trustOf(
  roots: TrustSource | TrustByCertificate | undefined,
  certificate: KeyedCertificate,
): TrustBundle | undefined {
  if (roots === undefined) return undefined;
  return "trustFor" in roots ? roots.trustFor(certificate) : roots.trust;
}

interface Compiled {
  readonly trust: TrustBundle | undefined;
  readonly certificate?: KeyedCertificate | undefined;
  readonly native: NativeTls;
}

export class ClientTls {
  readonly serverName: string;
  readonly expected: ExpectedIdentity | "anybody";
  readonly #roots: TrustSource;
  readonly #certificates: CertificateStore | undefined;
  readonly #common: ReturnType<typeof commonOf>;
  #compiled: Compiled | undefined = undefined;

  constructor(options: ClientTlsOptions) {
    const name = options.serverName.toLowerCase();
    const isName = isHostName(name) && encodeSocketAddress(name, 0) === undefined;
    this.serverName = isName ? name : "";
    this.expected = options.expected;
    this.#roots = options.roots;
    this.#certificates = options.certificates;
    this.#common = commonOf(options);
  }

  /** Undefined: the server is to be verified, and there are no roots. */
  get native(): NativeTls | undefined {
    const { trust } = this.#roots;
    const certificate = this.#certificates?.default;
    const before = this.#compiled;
    if (before !== undefined && before.trust === trust && before.certificate === certificate)
      return before.native;
    if (trust === undefined && this.expected !== "anybody") return undefined;
    const native: NativeTls = {
      ...this.#common,
      ...(this.serverName !== "" && { serverName: this.serverName }),
      ...(trust !== undefined && { ca: trust.pem }),
      ...(certificate !== undefined && { key: certificate.keyPem, cert: certificate.chainPem }),
      // Who the server is we look at ourselves: Bun's way ends the connection without a reason.
      rejectUnauthorized: false,
    };
    this.#compiled = { trust, certificate, native };
    return native;
  }
}

/** The roots that this machine trusts; where it has none, those that Mozilla does. */
export function systemTrust(): TrustSource {
  const system = getCACertificates("system");
  const list = system.length > 0 ? system : getCACertificates("bundled");
  const file = system.length > 0 ? "the system's roots" : "the bundled roots";
  return {
    trust: { file, pem: list.map((pem) => `${pem.trim()}\n`).join(""), count: list.length },
  };
}

function commonOf({ protocols = [], minimumVersion, maximumVersion }: CommonOptions) {
  return {
    ...(protocols.length > 0 && { ALPNProtocols: encodeProtocols(protocols) }),
    minVersion: VERSIONS[minimumVersion ?? "1.2"],
    maxVersion: VERSIONS[maximumVersion ?? "1.3"],
    ciphers: CIPHERS,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** As on the wire (RFC 7301 3.1): Bun takes "h2,http/1.1" too, and then agrees on nothing. */
export function encodeProtocols(protocols: readonly string[]): Buffer {
  return Buffer.concat(
    protocols.map((name) =>
      Buffer.concat([Buffer.from([name.length]), Buffer.from(name, "latin1")]),
    ),
  );
}
