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
  /** Of all of its workloads that are meant: its name as `app`, and those of a subset. */
  readonly labels: ReadonlyMap<string, string>;
}

/** "reviews.default.svc.cluster.local", also with a port behind it. */
export function serviceNameOf(
  written: string,
  subset: Readonly<Record<string, string>> = {},
): ServiceName {
  const host = written.replace(/:\d+$/, "");
  const [name = "", namespace = "", kind] = host.split(".");
  const inMesh = kind === "svc";
  const labels = new Map(Object.entries(subset));
  if (inMesh && !labels.has("app")) labels.set("app", name);
  if (!inMesh) return { host, name: host, namespace: "", uid: `istio://services/${host}`, labels };
  return { host, name, namespace, uid: `istio://${namespace}/services/${name}`, labels };
}
