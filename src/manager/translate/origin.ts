/** Where a person wrote what became a resource. */
import { create } from "@bufbuild/protobuf";
import {
  type SourcePosition,
  SourcePositionSchema,
} from "../../api/gen/mesh/v1/proxy_config_pb.ts";
import { type Config, configKey } from "../../model/config.ts";

export function originOf(config: Config): SourcePosition {
  return create(SourcePositionSchema, { ...config.origin, object: configKey(config) });
}
