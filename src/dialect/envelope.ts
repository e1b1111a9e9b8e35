/**
 * What a document is: its kind, its name and where its spec stands. Three shapes exist:
 * `apiVersion/kind/metadata/spec`; `type/name/spec` (Istio 0.1); and the spec alone, as the manual
 * of 0.1 prints it.
 */

import { didYouMean } from "../core/suggestion.ts";
import type { ConfigMeta } from "../model/config.ts";
import { policyRootNamespace } from "../model/policy-set.ts";
import { checkLabel, checkObjectName } from "../model/validate-name.ts";
import { isForeign, type Readable, readable, unsupported, wordFor } from "./inventory.ts";
import { type JudgedKind, judgedKinds } from "./judged-kind.ts";
import { meshConfigFields } from "./mesh-config.ts";
import { globalConfigFields } from "./policy/aspect/global-config.ts";
import { serviceConfigFields } from "./policy/aspect/service-config.ts";
import {
  camelCase,
  entriesOf,
  ignored,
  mapOf,
  message,
  type Reader,
  toRecord,
} from "./schema/message.ts";
import type { Place } from "./schema/place.ts";
import { text } from "./schema/scalar.ts";

export interface Envelope {
  readonly readable: Readable;
  readonly era: "0.1" | "v1alpha2";
  readonly apiVersion: string;
  readonly meta: ConfigMeta;
  readonly spec: Place;
  /** The document is its spec alone; its name was made up. */
  readonly bare: boolean;
}

export interface EnvelopeOptions {
  readonly namespace: string;
  /** Makes a name for a document that has none, from its destination's host. */
  readonly nameFor: (kind: string, host: string) => string;
}

/** Undefined where there is nothing to read: reported, unless it is no mistake. */
export function readEnvelope(place: Place, options: EnvelopeOptions): Envelope | undefined {
  const entries = entriesOf(place);
  if (entries === undefined) return undefined;
  const keys = new Set(entries.map(({ key }) => camelCase(key)));
  if (keys.has("kind") || keys.has("apiVersion")) return readResource(place, keys, options);
  if (keys.has("type")) return readTyped(place, options);
  return readBare(place, keys, options);
}

const anything: Reader<Place> = (place) => place;
const silent: Reader<never> = () => undefined;

const metadata = message({
  name: text,
  namespace: text,
  labels: mapOf(text),
  annotations: mapOf(text),
  ...Object.fromEntries(
    `resourceVersion uid generation creationTimestamp deletionTimestamp selfLink managedFields
     ownerReferences finalizers generateName deletionGracePeriodSeconds clusterName`
      .split(/\s+/)
      .map((name) => [name, silent]),
  ),
});

const resource = message({
  apiVersion: text,
  kind: text,
  metadata,
  spec: anything,
  status: silent,
});

function readResource(
  place: Place,
  keys: ReadonlySet<string>,
  options: EnvelopeOptions,
): Envelope | undefined {
  const before = place.reading.errors;
  const { apiVersion = "", kind = "" } = readIdentity(place);
  if (place.reading.errors > before) return undefined;
  if (isForeign(apiVersion, kind)) {
    place.warn(`${kind || "this document"} (${apiVersion}) is left out: it is not a rule`);
    return undefined;
  }
  const judged = judgedKinds.find((one) => one.kind === kind);
  if (judged !== undefined) {
    if (apiVersion.startsWith(`${judged.group}/`)) judgeAlone(place, judged, options);
    else
      fieldOf(place, "apiVersion").error(
        `${kind} is not part of ${apiVersion || "no group"}`,
        `write ${judged.group}/v1`,
      );
    return undefined;
  }
  const found = findKind(place, kind, apiVersion);
  if (found === undefined) return undefined;
  if (found.kind === "MeshConfig" && !keys.has("spec")) return meshConfig(found, place);
  const read = resource(place);
  if (read === undefined) return undefined;
  const written = toMeta(read.metadata, options.namespace);
  const meta =
    found.kind === "MeshConfig" ? { ...written, namespace: meshConfigNamespace } : written;
  if (!read.has("metadata")) place.error("must have metadata with a name");
  if (read.spec === undefined && found.specMayBeEmpty !== true) {
    if (!read.has("spec")) place.error("must have a spec");
    return undefined;
  }
  return {
    readable: found,
    era: "v1alpha2",
    apiVersion: apiVersion === "" ? found.apiVersions[0]! : apiVersion,
    meta,
    spec: read.spec ?? read.at("spec"),
    bare: false,
  };
}

function judgeAlone(place: Place, { kind, judge }: JudgedKind, options: EnvelopeOptions): void {
  const read = resource(place);
  if (read === undefined) return;
  const { namespace } = toMeta(read.metadata, options.namespace);
  if (!read.has("metadata")) place.error("must have metadata with a name");
  if (read.spec === undefined) place.error("must have a spec");
  else judge(read.spec, namespace);
  if (place.reading.errors === 0) place.warn(`${kind} is left out: it has no effect yet`);
}

/** The two fields that decide about all others, which are read afterwards. */
function readIdentity(place: Place): { apiVersion?: string; kind?: string } {
  const found: { apiVersion?: string; kind?: string } = {};
  for (const { key, keyNode, node } of entriesOf(place) ?? []) {
    const name = camelCase(key);
    if (name !== "apiVersion" && name !== "kind") continue;
    const value = text(place.field(key, node, keyNode));
    if (value !== undefined) found[name] = value;
  }
  return found;
}

function findKind(place: Place, kind: string, apiVersion: string): Readable | undefined {
  const found = readable.find((one) => wordFor(one) === kind);
  if (found !== undefined) {
    const at = fieldOf(place, "apiVersion");
    if (apiVersion === "" && found.kind !== "MeshConfig")
      at.warn(`is missing: ${found.apiVersions[0]} is meant`);
    else if (apiVersion !== "" && !found.apiVersions.includes(apiVersion)) {
      at.error(`${kind} is not part of ${apiVersion}`, `write ${found.apiVersions[0]}`);
      return undefined;
    }
    return found;
  }
  const at = fieldOf(place, "kind");
  if (kind === "") at.error("must be given");
  else if (unsupported.has(kind)) at.error(`kind ${kind} is not supported yet`);
  else {
    const kinds = [...readable.map(wordFor), ...judgedKinds.map((one) => one.kind), ...unsupported];
    at.error(`unknown kind ${kind}`, didYouMean(kind, kinds));
  }
  return undefined;
}

function fieldOf(place: Place, name: string): Place {
  for (const { key, keyNode, node } of entriesOf(place) ?? [])
    if (camelCase(key) === name) return place.field(key, node, keyNode);
  return place.field(name, null, undefined);
}

const typed = message({
  type: text,
  name: text,
  namespace: text,
  revision: ignored("has no effect"),
  spec: anything,
});

function readTyped(place: Place, options: EnvelopeOptions): Envelope | undefined {
  const read = typed(place);
  if (read?.type === undefined) return undefined;
  const types = readable.flatMap(({ type }) => type ?? []);
  const found = readable.find((one) => one.type === read.type);
  if (found === undefined)
    read.at("type").error(`unknown type ${read.type}`, didYouMean(read.type, types));
  const name = read.name ?? "";
  if (!read.has("name")) place.error("must have a name");
  else if (name !== "") checkName(name, read.at("name"), false);
  if (!read.has("spec")) place.error("must have a spec");
  if (found === undefined || read.spec === undefined) return undefined;
  const { namespace = options.namespace } = read;
  if (read.namespace !== undefined) checkName(namespace, read.at("namespace"), false);
  const meta = metaOf(name, namespace);
  return { readable: found, era: "0.1", apiVersion: "", meta, spec: read.spec, bare: false };
}

const policyFields = ["policy", "loadBalancing", "circuitBreaker"];

/** A spec alone: what it is shows in its fields, its name comes from its destination. */
function readBare(
  place: Place,
  keys: ReadonlySet<string>,
  options: EnvelopeOptions,
): Envelope | undefined {
  if (keys.has("destination")) {
    const kind = policyFields.some((field) => keys.has(field)) ? "DestinationPolicy" : "RouteRule";
    const found = kindOf(kind);
    const meta = metaOf(options.nameFor(found.kind, hostOf(place)), options.namespace);
    return { readable: found, era: "0.1", apiVersion: "", meta, spec: place, bare: true };
  }
  if (serviceConfigFields.every((key) => keys.has(key))) {
    const subject = scalarOf(place, "subject").toLowerCase();
    return aspectConfig(kindOf("ServiceConfig"), place, objectName(subject));
  }
  if ([...keys].some((key) => globalConfigFields.has(key))) {
    const name = keys.has("adapters") ? "adapters" : "descriptors";
    return aspectConfig(kindOf("GlobalConfig"), place, name);
  }
  if ([...keys].some((key) => meshConfigFields.has(key)))
    return meshConfig(kindOf("MeshConfig"), place);
  const known = ["kind", "apiVersion", "type", "destination", ...meshConfigFields];
  const first = (entriesOf(place) ?? []).slice(0, 10);
  const [hint] = first.flatMap(({ key }) => didYouMean(key, known) ?? []);
  place.error("is not a rule: it has neither kind, nor type, nor destination", hint);
  return undefined;
}

function kindOf(kind: Readable["kind"]): Readable {
  return readable.find((one) => one.kind === kind)!;
}

/** Policy of Istio 0.1 is the whole mesh's, and called after its subject. */
function aspectConfig(found: Readable, spec: Place, name: string): Envelope {
  const meta = metaOf(name, policyRootNamespace);
  return { readable: found, era: "0.1", apiVersion: "", meta, spec, bare: false };
}

/** "namespace-ns" of "namespace:ns". */
function objectName(subject: string): string {
  const name = subject.replace(/[^a-z0-9.-]+/g, "-").slice(0, 253);
  return checkObjectName(name, true) === undefined ? name : "subject";
}

function hostOf(place: Place): string {
  return scalarOf(place, "destination");
}

function scalarOf(place: Place, name: string): string {
  const { node } = fieldOf(place, name);
  return node !== null && node !== undefined && "value" in node ? String(node.value) : "";
}

/** Settings of the whole mesh are one object, whatever namespace they are applied to. */
const meshConfigNamespace = "default";

function meshConfig(found: Readable, spec: Place): Envelope {
  const meta = metaOf("mesh", meshConfigNamespace);
  return { readable: found, era: "v1alpha2", apiVersion: "", meta, spec, bare: false };
}

function metaOf(name: string, namespace: string): ConfigMeta {
  return { name, namespace, labels: {}, annotations: {} };
}

function toMeta(
  written: NonNullable<ReturnType<typeof metadata>> | undefined,
  namespace: string,
): ConfigMeta {
  if (written === undefined) return metaOf("", namespace);
  const { name = "" } = written;
  if (!written.has("name")) written.at().error("must have a name");
  else if (written.name !== undefined) checkName(name, written.at("name"), true);
  const space = written.namespace ?? namespace;
  if (written.namespace !== undefined) checkName(space, written.at("namespace"), false);
  for (const { key, value, at } of written.labels ?? []) at.check(checkLabel(key, value));
  return {
    name,
    namespace: space,
    labels: toRecord(written.labels),
    annotations: toRecord(written.annotations),
  };
}

function checkName(name: string, at: Place, dots: boolean): void {
  const complaint = checkObjectName(name, dots);
  if (complaint !== undefined) at.error(`"${name}" ${complaint}`);
}
