/**
 * The names that rules know a running copy of a service by, made of how it was registered.
 *
 *   reviews-1x8k2m.default of reviews.default.svc.cluster.local, version v1
 *     ─▶ pod reviews-1x8k2m, workload reviews-v1 of default
 */
export type WorkloadLabels = Readonly<Record<string, string>>;

/** "kubernetes://reviews-1x8k2m.default"; "": not known. */
export function workloadCopyUid(id: string): string {
  return id === "" ? "" : `${UID_SCHEME}${id}`;
}

/** The opposite: also of what is written without the scheme. */
export function workloadCopyId(uid: string): string {
  return uid.startsWith(UID_SCHEME) ? uid.slice(UID_SCHEME.length) : uid;
}

/** "reviews-1x8k2m": all before the namespace, whatever dots are in it. */
export function podNameOf(id: string): string {
  return id.replace(/\.[^.]*$/, "");
}

/** Of all copies of one version of a service; what serves nobody is known by its own name. */
export function workloadNameOf(id: string, service: string, labels: WorkloadLabels): string {
  if (service === "") return podNameOf(id);
  const { version = "" } = labels;
  return version === "" ? service : `${service}-${version}`;
}

/** "istio://default/workloads/reviews-v1"; "": not known. */
export function workloadUidOf(namespace: string, name: string): string {
  return name === "" ? "" : `istio://${namespace}/workloads/${name}`;
}

/** With what Istio's telemetry finds services by, which nobody has to write here. */
export function workloadLabelsOf(service: string, labels: WorkloadLabels): Map<string, string> {
  const all = new Map(Object.entries(labels));
  if (!all.has("app") && service !== "") all.set("app", service);
  return all;
}

const UID_SCHEME = "kubernetes://";
