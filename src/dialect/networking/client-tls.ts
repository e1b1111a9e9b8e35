/** ClientTLSSettings: how a connection to the destination is secured. Manager 1.14. */
import type { ClientTlsSettings } from "../../model/client-tls.ts";
import { list, message, type Reader, type ValueOf } from "../schema/message.ts";
import { flag, oneOf, text } from "../schema/scalar.ts";

const written = message({
  mode: oneOf("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"),
  clientCertificate: text,
  privateKey: text,
  caCertificates: text,
  credentialName: text,
  subjectAltNames: list(text),
  sni: text,
  insecureSkipVerify: flag,
  caCrl: text,
});

export type WrittenTls = NonNullable<ValueOf<typeof written>>;
type Field = "clientCertificate" | "privateKey" | "caCertificates" | "credentialName" | "caCrl";

export const clientTls: Reader<WrittenTls> = (place) => {
  const tls = written(place);
  if (tls === undefined) return undefined;
  const refuse = (fields: readonly Field[], why: string): void => {
    for (const field of fields)
      if ((tls[field] ?? "") !== "") tls.at(field).error(`must not be given ${why}`);
  };
  const files: readonly Field[] = ["clientCertificate", "privateKey", "caCertificates", "caCrl"];
  const { mode = "DISABLE", credentialName = "" } = tls;
  if (mode === "ISTIO_MUTUAL")
    refuse([...files, "credentialName"], "with ISTIO_MUTUAL: the mesh has its own certificates");
  else if (credentialName !== "" && mode !== "DISABLE") refuse(files, "beside a credentialName");
  else if (mode === "MUTUAL")
    for (const field of ["clientCertificate", "privateKey"] as const)
      if ((tls[field] ?? "") === "") tls.at(field).error("must be given with MUTUAL");
  if (tls.insecureSkipVerify !== true) return tls;
  const why = "with insecureSkipVerify: nothing is verified";
  if (mode === "SIMPLE" || mode === "MUTUAL") refuse(["caCertificates"], why);
  if (mode !== "SIMPLE") return tls;
  refuse(["credentialName"], why);
  if (tls.has("subjectAltNames")) tls.at("subjectAltNames").error(`must not be given ${why}`);
  return tls;
};

/** What is not there yet is left out with a warning. */
export function toClientTls(tls: WrittenTls): ClientTlsSettings {
  const { mode = "DISABLE", credentialName = "", insecureSkipVerify = false } = tls;
  if ((tls.caCrl ?? "") !== "") tls.at("caCrl").warn("has no effect yet");
  const isMesh = mode === "ISTIO_MUTUAL";
  if (isMesh)
    for (const field of ["sni", "subjectAltNames", "insecureSkipVerify"] as const)
      if (tls.has(field))
        tls.at(field).warn("has no effect: identities of the mesh are verified as what they are");
  if (credentialName !== "" && mode !== "DISABLE") {
    tls
      .at("credentialName")
      .warn("has no effect yet: name files instead; the system's roots count");
    if (mode === "MUTUAL") tls.at("mode").warn("no certificate of ours is shown");
  }
  const isMutual = mode === "MUTUAL" && credentialName === "";
  const has = mode !== "DISABLE" && !isMesh;
  return {
    mode: mode === "MUTUAL" && !isMutual ? "SIMPLE" : mode,
    sni: has ? (tls.sni ?? "") : "",
    subjectAltNames: has ? (tls.subjectAltNames ?? []) : [],
    caCertificates: has ? (tls.caCertificates ?? "") : "",
    clientCertificate: isMutual ? (tls.clientCertificate ?? "") : "",
    privateKey: isMutual ? (tls.privateKey ?? "") : "",
    insecureSkipVerify: has && insecureSkipVerify,
  };
}
