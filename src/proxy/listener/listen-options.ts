/** Where an engine listens, and what for. */
import type { EdgeGuards } from "../gateway/edge-handlers.ts";
import type { InboundSecurity } from "../identity/inbound-tls.ts";
import type { HeaderRefused } from "./proxy-header-gate.ts";

export interface ListenAddress {
  readonly hostname: string;
  /** 0: any free port. */
  readonly port: number;
  readonly reusePort?: boolean;
  /** A listening socket to take over. */
  readonly fd?: number;
  /** For "::": IPv4 is another listener's. */
  readonly ipv6Only?: boolean;
  /** For what TPROXY hands over. */
  readonly transparent?: boolean;
}

export interface OutboundOptions extends ListenAddress {
  /** The port meant by a Host without one; 80 unless told. */
  readonly defaultPort?: number;
}

export interface EdgeOptions extends EdgeGuards {
  readonly at: ListenAddress;
  /** Of the listener in snapshots: "https-443". */
  readonly name: string;
  /** As clients know it. */
  readonly port: number;
}

export interface InboundOptions extends ListenAddress {
  readonly app: { readonly hostname: string; readonly port: number };
  readonly service: string;
  readonly version: string;
  /** Connections begin with a header of the PROXY protocol; undefined: they do not. */
  readonly headerRefused?: HeaderRefused | undefined;
  /** What the application speaks; "any" unless told. */
  readonly protocol?: "http" | "http2" | "any";
  /** It is called from its callers' addresses. */
  readonly tproxyMark?: number | undefined;
  /** It is told who called, by x-forwarded-client-cert. */
  readonly tellsPeers?: boolean;
  /** Absent: no TLS ends here. */
  readonly security?: InboundSecurity | undefined;
}
