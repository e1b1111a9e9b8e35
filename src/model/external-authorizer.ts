/** Somebody else who is asked whether a request may pass: an extension provider of the mesh. */
export interface ExternalAuthorizer {
  readonly name: string;
  readonly protocol: "HTTP" | "GRPC";
  /** "ext-authz.security.svc.cluster.local"; as written, maybe "namespace/host". */
  readonly service: string;
  readonly port: number;
  /** Absent: as a proxy has it. */
  readonly timeoutMs?: number;
  /** Requests pass where nobody answers. */
  readonly failOpen: boolean;
  /** Where nobody answers and they do not; 0: 403. */
  readonly statusOnError: number;
  readonly pathPrefix: string;
  readonly includeRequestHeaders: readonly string[];
  readonly additionalHeaders: readonly { readonly name: string; readonly value: string }[];
  /** Absent: bodies are not told. */
  readonly body?: {
    readonly maxBytes: number;
    readonly allowPartial: boolean;
    readonly packAsBytes: boolean;
  };
  readonly headersToUpstreamOnAllow: readonly string[];
  readonly headersToDownstreamOnDeny: readonly string[];
  readonly headersToDownstreamOnAllow: readonly string[];
}
