/** A service in the parts by which rules know it. */
export interface ServiceName {
  /** "reviews.default.svc.cluster.local", or a host outside the mesh. */
  readonly host: string;
  /** "reviews"; of a host outside all of it. */
  readonly name: string;
  /** "": it is outside the mesh. */
  readonly namespace: string;
  /** "istio://default/services/reviews" */
  readonly uid: string;
}

/** "reviews.default.svc.cluster.local", also with a port behind it. */
export function serviceNameOf(written: string): ServiceName {
  const host = written.replace(/:\d+$/, "");
  const [name = "", namespace = "", kind] = host.split(".");
  if (kind !== "svc") return { host, name: host, namespace: "", uid: `istio://services/${host}` };
  return { host, name, namespace, uid: `istio://${namespace}/services/${name}` };
}
