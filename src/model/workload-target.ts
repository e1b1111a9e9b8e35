/** Which workloads an object of `security.istio.io` is for. Spec table: manager 7. */

/** Whom an object is for. Neither: all of its namespace; in the root namespace, all of the mesh. */
export interface WorkloadTarget {
  /** Labels that they have. */
  readonly selector?: Readonly<Record<string, string>>;
  /** One of these. */
  readonly references?: readonly TargetReference[];
}

/** In the namespace of the object that refers to it. */
export interface TargetReference {
  readonly kind: "Service" | "ServiceEntry" | "Gateway" | "GatewayClass";
  readonly name: string;
}
