/** What exists: services, their ports and running instances. Spec tables: manager 1.15, 2.1. */
export type Protocol =
  | "HTTP"
  | "HTTP2"
  | "GRPC"
  | "HTTPS"
  | "TLS"
  | "TCP"
  | "MONGO"
  | "REDIS"
  | "MYSQL"
  | "UDP";

export interface ServicePort {
  /** May be empty where it is the only one. */
  readonly name: string;
  readonly number: number;
  readonly protocol: Protocol;
}

export interface Service {
  /** Full host name, unique: "reviews.default.svc.cluster.local". */
  readonly host: string;
  readonly namespace: string;
  /** Virtual addresses; often none. */
  readonly addresses: readonly string[];
  readonly ports: readonly ServicePort[];
  /** Where instances come from: listed, by resolving names, or the address the caller chose. */
  readonly resolution: "STATIC" | "DNS" | "NONE";
  readonly external: boolean;
  /** The registry that told of it: "local", "file", … */
  readonly registry: string;
}

export interface ServiceInstance {
  readonly host: string;
  readonly address: string;
  /** Where it listens. */
  readonly port: number;
  /** The service's port that this stands for. */
  readonly servicePort: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: string;
  readonly weight: number;
  readonly healthy: boolean;
  readonly workload: string;
  /** Of the object that names the workload; absent: its name is unique as it is. */
  readonly namespace?: string;
  /** That it runs as, "reviews" or "default/reviews"; absent: not known. */
  readonly serviceAccount?: string;
  /** Its proxy takes mutual TLS. */
  readonly mutualTls?: boolean;
  /** Where the application itself listens; absent: at the service's port. */
  readonly appPort?: number;
  /** The SPIFFE id that callers expect; absent: they call it in plaintext. */
  readonly identity?: string;
  /** Its proxy takes many connections in one: the mesh's own transport. */
  readonly meshTransport?: boolean;
}

/** networking.istio.io ServiceEntry: a service of the static registry. */
export interface ServiceEntry {
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
  readonly ports: readonly (ServicePort & { readonly targetPort?: number })[];
  readonly location: "MESH_EXTERNAL" | "MESH_INTERNAL";
  readonly resolution: "NONE" | "STATIC" | "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS";
  readonly endpoints: readonly WorkloadEntry[];
  readonly workloadSelector?: Readonly<Record<string, string>>;
}

/** networking.istio.io WorkloadEntry: one instance of the static registry. */
export interface WorkloadEntry {
  readonly address: string;
  /** Port name to number. */
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly network: string;
  readonly locality: string;
  readonly weight: number;
  readonly serviceAccount: string;
}
