/**
 * How rules name a service: a full host name (Istio 0.1), or an IstioService
 * `{ name, namespace, domain } | { service }` with labels. Spec tables: manager 1.3, 1.4.
 */
import { isScalar } from "yaml";
import type { ServiceRef } from "../../model/route-rule.ts";
import {
  checkDnsLabel,
  checkFqdn,
  checkLabel,
  checkWildcardDomain,
} from "../../model/validate-name.ts";
import { labelsChecked } from "../schema/label.ts";
import { type Message, message, type Reader, toRecord } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { text } from "../schema/scalar.ts";

/** What decides the meaning of a document besides its text. */
export interface Context {
  readonly era: "0.1" | "v1alpha2";
  /** Of the object. */
  readonly namespace: string;
  /** Empty: short names get no suffix. */
  readonly domain: string;
}

export const labels = labelsChecked(checkLabel);

const istioService = message(
  { name: text, namespace: text, domain: text, service: text, labels },
  { tags: "labels" },
);

export type WrittenService =
  | { readonly text: string; readonly place: Place }
  | Message<{
      name: typeof text;
      namespace: typeof text;
      domain: typeof text;
      service: typeof text;
      labels: typeof labels;
    }>;

/** A text or an IstioService, whatever the era. */
export const serviceRef: Reader<WrittenService> = (place) => {
  if (!isScalar(place.node)) return istioService(place);
  const value = text(place);
  return value === undefined ? undefined : { text: value, place };
};

/** Undefined if the service is not named well, which is then reported. */
export function resolveService(written: WrittenService, context: Context): ServiceRef | undefined {
  if ("text" in written) return resolveText(written.text, written.place, context);
  const { name = "", service = "", namespace = "", domain = "" } = written;
  const complaints = checkParts(written);
  if (complaints > 0) return undefined;
  const host = hostOf({ name, namespace, domain, service }, context);
  return { host: host.toLowerCase(), labels: toRecord(written.labels) };
}

/** The host that the parts of an IstioService mean; a service is the host itself (manager 1.4). */
export function hostOf(
  { service, ...parts }: { name: string; namespace: string; domain: string; service: string },
  context: Pick<Context, "namespace" | "domain">,
): string {
  return service !== "" ? service : qualify(parts, context);
}

/** In v1alpha2 a text without dots is a name, as everywhere else there. */
function resolveText(host: string, place: Place, context: Context): ServiceRef | undefined {
  const old = context.era === "0.1";
  const complaint = old ? checkFqdn(host, "lower") : checkWildcardDomain(host);
  if (complaint !== undefined) {
    place.error(`"${host}" ${complaint}`);
    return undefined;
  }
  const isName = !old && !host.includes(".") && !host.includes("*");
  const full = isName ? qualify({ name: host, namespace: "", domain: "" }, context) : host;
  return { host: full.toLowerCase(), labels: {} };
}

type Parts = Exclude<WrittenService, { text: string }>;

function checkParts(written: Parts): number {
  const { name = "", service = "", namespace = "", domain = "" } = written;
  let count = 0;
  const check = (field: "name" | "service" | "namespace" | "domain", complaint?: string): void => {
    if (complaint === undefined) return;
    count++;
    written.at(field).error(complaint);
  };
  const quote = (value: string, complaint?: string) => complaint && `"${value}" ${complaint}`;
  if (name === "" && service === "") {
    // A field that was written badly has been reported already.
    if (!written.has("name") && !written.has("service")) {
      count++;
      written.at().error("must have a name or a service");
    } else if (written.name === "" || written.service === "") {
      count++;
      written.at().error("must have a name or a service that is not empty");
    } else count++;
  }
  if (name !== "" && service !== "") check("service", "must not stand beside a name");
  if (service !== "") {
    check("service", quote(service, checkWildcardDomain(service)));
    if (namespace !== "") check("namespace", "must not stand beside a service");
    if (domain !== "") check("domain", "must not stand beside a service");
  }
  if (name !== "") check("name", quote(name, checkDnsLabel(name)));
  if (namespace !== "") check("namespace", quote(namespace, checkDnsLabel(namespace)));
  if (domain !== "") check("domain", quote(domain, checkFqdn(domain)));
  return count;
}

function qualify(
  { name, namespace, domain }: { name: string; namespace: string; domain: string },
  context: Pick<Context, "namespace" | "domain">,
): string {
  const space = namespace !== "" ? namespace : context.namespace;
  const suffix = domain !== "" ? domain : context.domain === "" ? "" : `svc.${context.domain}`;
  return [name, space, suffix].filter((part) => part !== "").join(".");
}
