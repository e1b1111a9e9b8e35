/** Which hosts outside of the mesh may be called, and how. Spec table: manager 1.8. */
export interface EgressRule {
  /** "*.example.com", "*-x.example.com", "example.com", an IPv4 address or CIDR block. */
  readonly service: string;
  readonly ports: readonly EgressPort[];
}

export interface EgressPort {
  readonly port: number;
  readonly protocol: "http" | "https" | "http2" | "grpc" | "tcp" | "mongo";
}
