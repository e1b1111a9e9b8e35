/** How the connections of a cluster are secured. */
import {
  Cluster_Protocol,
  type Cluster as ClusterResource,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { UpstreamCredentials } from "../upstream/upstream-credentials.ts";
import { UpstreamTls, type UpstreamTlsSettings } from "../upstream/upstream-tls.ts";
import type { ProblemList } from "./problem-list.ts";

/** The former object where it says the same, so that connections live on. */
export function compileTls(
  resource: ClusterResource,
  former: Cluster | undefined,
  credentials: UpstreamCredentials | undefined,
  problems: ProblemList,
): UpstreamTls | undefined {
  const { tls } = resource;
  if (tls === undefined) return undefined;
  const here = problems.at("tls");
  const { sni, subjectAltNames, caCertificates, insecureSkipVerify } = tls;
  const { clientCertificate, privateKey } = tls;
  if ((clientCertificate === "") !== (privateKey === ""))
    here.add("a certificate and its key are given together");
  if (credentials === undefined) {
    here.add("there is no place for certificates here");
    return undefined;
  }
  const settings: UpstreamTlsSettings = {
    ...{ sni, subjectAltNames, caCertificates, insecureSkipVerify },
    ...{ clientCertificate, privateKey },
    // Of hosts that a pattern stands for, each is its own.
    host: resource.service.includes("*") ? "" : resource.service,
    protocols: protocolsOf(resource.protocol),
  };
  if (former?.tls !== undefined && Bun.deepEquals(former.tls.settings, settings)) return former.tls;
  return new UpstreamTls(settings, credentials.of(settings));
}

function protocolsOf(protocol: Cluster_Protocol): readonly string[] {
  if (protocol === Cluster_Protocol.TCP) return [];
  return protocol === Cluster_Protocol.HTTP2 ? ["h2"] : ["http/1.1"];
}
