/** A proxy's configuration as it may be shown: without the secrets its parts are called with. */
import { clone } from "@bufbuild/protobuf";
import { REDACTED, redactParameters, redactText } from "../core/redact.ts";
import { AccessConfigSchema } from "./gen/mesh/v1/access_pb.ts";
import { PolicyConfigSchema } from "./gen/mesh/v1/policy_pb.ts";
import type { ProxyConfig } from "./gen/mesh/v1/proxy_config_pb.ts";

/** Shares what holds no secrets with `config`. */
export function redactConfig(config: ProxyConfig): ProxyConfig {
  const { policy, access } = config;
  const shown = { ...config };
  if (policy !== undefined) {
    shown.policy = clone(PolicyConfigSchema, policy);
    redactWithin(shown.policy);
  }
  if (access !== undefined) {
    shown.access = clone(AccessConfigSchema, access);
    redactWithin(shown.access);
  }
  return shown;
}

/** Texts that hold JSON; others are passed over by what they look like only. */
const JSON_FIELDS = new Set(["parameters", "jwks"]);

function redactWithin(message: object): void {
  for (const [key, value] of Object.entries(message)) {
    if (typeof value === "string") {
      const safe = JSON_FIELDS.has(key) ? redactJson(value) : redactText(value);
      if (safe !== value) Object.assign(message, { [key]: safe });
    } else if (typeof value !== "object" || value === null || value instanceof Uint8Array) continue;
    else if (key === "additionalHeaders") {
      for (const header of value) header.value = REDACTED;
    } else if (Array.isArray(value)) {
      for (const [i, one] of value.entries())
        if (typeof one === "object" && one !== null) redactWithin(one);
        else if (typeof one === "string") value[i] = redactText(one);
    } else redactWithin(value);
  }
}

/** What is no JSON is not shown. */
function redactJson(text: string): string {
  if (text === "") return "";
  try {
    return JSON.stringify(redactParameters(JSON.parse(text)));
  } catch {
    return REDACTED;
  }
}
