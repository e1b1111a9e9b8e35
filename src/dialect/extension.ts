/** WasmPlugin and TrafficExtension: code for Envoy, which this mesh judges and does not run. */
import { portNumber } from "./networking/workload-entry.ts";
import { whole } from "./schema/choice.ts";
import { list, message, type Reader, type ValueOf } from "./schema/message.ts";
import type { Place } from "./schema/place.ts";
import { checkedText, integer, oneOf, text } from "./schema/scalar.ts";
import { readTarget, targetFields } from "./security/workload-target.ts";

const anything: Reader<true> = () => true;

function named(most: number): Reader<string> {
  return checkedText((value) =>
    value === "" || value.length > most ? `must have 1 to ${most} characters` : undefined,
  );
}

const environment = message({
  name: named(256),
  valueFrom: oneOf("INLINE", "HOST"),
  value: text,
});

const variables: Reader<Place> = (place) => {
  const seen = new Set<string>();
  for (const variable of list(environment)(place) ?? []) {
    const { name = "", valueFrom } = variable;
    if (!variable.has("name")) variable.at().error("must have a name");
    else if (seen.has(name)) variable.at("name").error(`"${name}" is given twice`);
    seen.add(name);
    if (valueFrom === "HOST" && variable.has("value"))
      variable.at("value").error("must not be given where it is the host's");
  }
  return place;
};

const url = checkedText((written) => {
  const scheme = /^([a-z][a-z\d+.-]*):\/\//i.exec(written)?.[1]?.toLowerCase();
  if (written === "") return "must not be empty";
  return scheme === undefined || ["http", "https", "oci", "file"].includes(scheme)
    ? undefined
    : "is neither http, https, oci nor file";
});

const sha256 = checkedText((value) =>
  /^([a-f0-9]{64})?$/.test(value) ? undefined : "is no SHA-256 in small hexadecimal digits",
);

const wasmFields = {
  url,
  sha256,
  imagePullPolicy: oneOf("UNSPECIFIED_POLICY", "IfNotPresent", "Always"),
  imagePullSecret: named(253),
  verificationKey: text,
  pluginConfig: anything,
  pluginName: named(256),
  failStrategy: oneOf("FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"),
  vmConfig: message({ env: variables }),
  type: oneOf("UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"),
};

const placeFields = {
  ...targetFields,
  phase: oneOf("UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"),
  priority: integer(),
  match: list(
    message({
      mode: oneOf("UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"),
      ports: list(whole({ number: portNumber }, "number")),
    }),
  ),
};

const wasmPlugin = message({ ...placeFields, ...wasmFields });

const trafficExtension = message({
  ...placeFields,
  wasm: whole(wasmFields, "url"),
  lua: whole({ inlineCode: named(65_536) }, "inlineCode"),
});

export function judgeWasmPlugin(place: Place, namespace: string): void {
  const plugin: ValueOf<typeof wasmPlugin> | undefined = wasmPlugin(place);
  if (plugin === undefined) return;
  if (!plugin.has("url")) place.error("must have a url");
  readTarget(plugin, { name: "", namespace, annotations: {} });
}

export function judgeTrafficExtension(place: Place, namespace: string): void {
  const extension = trafficExtension(place);
  if (extension === undefined) return;
  if (extension.has("wasm") === extension.has("lua"))
    place.error("must have exactly one of wasm and lua");
  readTarget(extension, { name: "", namespace, annotations: {} });
}
