/** What may differ between proxies that share all else, and how both become a whole. */
import { type AccessConfig, AccessConfigSchema } from "../../api/gen/mesh/v1/access_pb.ts";
import { type TrustBundle, TrustBundleSchema } from "../../api/gen/mesh/v1/identity_pb.ts";
import { hashOf, type Resource, type Resources, type SharedResources } from "./resource.ts";

export function accessResource(message: AccessConfig): Resource<AccessConfig> {
  return { name: "", hash: hashOf(AccessConfigSchema, message), message };
}

export function trustResource(message: TrustBundle): Resource<TrustBundle> {
  return { name: "", hash: hashOf(TrustBundleSchema, message), message };
}

/** The version of the whole is made of both. */
export function wholeOf(
  shared: SharedResources,
  own: Pick<Resources, "access" | "trust">,
): Resources {
  const hashes = [shared.version, own.access.hash, own.trust?.hash ?? ""].join("\n");
  const version = Bun.CryptoHasher.hash("sha256", hashes, "hex").slice(0, 16);
  return { ...shared, ...own, version };
}
