/**
 * A whole configuration is encoded once, however many proxies are sent it: its bytes stand in the
 * update as an unknown field of the number that `config` has, and an encoder writes those as they
 * are. A thousand proxies that come back at once then cost copies, not a thousand encodings.
 *
 * Only for binary encodings: JSON leaves unknown fields out.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type ConfigUpdate, ConfigUpdateSchema } from "../../api/gen/mesh/v1/discovery_pb.ts";
import { type ProxyConfig, ProxyConfigSchema } from "../../api/gen/mesh/v1/proxy_config_pb.ts";

/** "application/grpc", "application/connect+proto", …: what writes unknown fields. */
export function isBinary(contentType: string | null): boolean {
  return contentType !== null && !contentType.includes("json");
}

/** Versions that are being sent at one time: one for each view of the mesh. */
const VERSIONS_MAX = 16;

export class UpdatePacker {
  /** By version, the one used last at the end; with the length in front, as a field's data is. */
  readonly #bytes = new Map<string, Uint8Array<ArrayBuffer>>();

  pack(update: ConfigUpdate): ConfigUpdate {
    const { config, baseVersion } = update;
    // A difference is small, and few are sent the same.
    if (config === undefined || baseVersion !== "") return update;
    const data = this.#encoded(config);
    const packed = create(ConfigUpdateSchema, {});
    const { number } = ConfigUpdateSchema.field.config;
    packed.$unknown = [{ no: number, wireType: WireType.LengthDelimited, data }];
    return packed;
  }

  #encoded(config: ProxyConfig): Uint8Array {
    const { version } = config;
    const data =
      this.#bytes.get(version) ??
      new BinaryWriter().bytes(toBinary(ProxyConfigSchema, config)).finish();
    this.#bytes.delete(version);
    this.#bytes.set(version, data);
    if (this.#bytes.size > VERSIONS_MAX) this.#bytes.delete(this.#bytes.keys().next().value ?? "");
    return data;
  }
}
