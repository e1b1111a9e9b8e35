/** WorkloadEntry of networking.istio.io: one instance of the static registry. Manager 1.15. */
import { isIP } from "node:net";
import type { WorkloadEntry } from "../../model/service.ts";
import { checkUnixPath } from "../../model/validate-address.ts";
import {
  checkKubernetesLabel,
  checkModernDomain,
  checkPortName,
} from "../../model/validate-name.ts";
import { labelsChecked } from "../schema/label.ts";
import {
  type Entry,
  mapOf,
  message,
  type Reader,
  toRecord,
  type ValueOf,
} from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { checkedText, integer, text } from "../schema/scalar.ts";

export const portNumber = integer({ least: 1, most: 65_535 });

const ports: Reader<readonly Entry<number>[]> = (place) => {
  const entries = mapOf(portNumber)(place);
  for (const { key, at } of entries ?? []) {
    const complaint = checkPortName(key);
    if (complaint !== undefined) at.error(`port name "${key}" ${complaint}`);
  }
  return entries;
};

/** Of so many characters at most. */
function textOf(most: number): Reader<string> {
  return checkedText((value) =>
    value.length > most ? `is longer than ${most} characters` : undefined,
  );
}

/** Of workloads, and of those that a service selects. */
export const workloadLabels = labelsChecked(checkKubernetesLabel);

export const workload = message({
  address: text,
  ports,
  labels: workloadLabels,
  network: textOf(2_048),
  locality: textOf(2_048),
  weight: integer({ least: 0 }),
  serviceAccount: textOf(253),
});

export type WrittenWorkload = NonNullable<ValueOf<typeof workload>>;

/** What may stand in `address`: a name, an IP address, a socket's path. */
export type AddressForm = "ip" | "name" | "unix";

const unix = "unix://";

/** Undefined after the problems have been reported. */
export function toWorkload(
  written: WrittenWorkload,
  forms: readonly AddressForm[],
): WorkloadEntry | undefined {
  const { address = "", network = "", weight = 0 } = written;
  const good = checkAddress(written, forms);
  return good
    ? {
        address,
        ports: toRecord(written.ports),
        labels: toRecord(written.labels),
        network,
        locality: written.locality ?? "",
        weight: weight === 0 ? 1 : weight,
        serviceAccount: written.serviceAccount ?? "",
      }
    : undefined;
}

function checkAddress(written: WrittenWorkload, forms: readonly AddressForm[]): boolean {
  const { address = "", network = "" } = written;
  if (address === "") {
    if (written.has("address") && written.address === undefined) return false;
    if (network !== "") return true;
    written.at().error("must have an address");
    return false;
  }
  const at = written.at("address");
  const complaint = complaintOf(address, forms);
  if (complaint !== undefined) at.error(`"${address}" ${complaint}`);
  if (!address.startsWith(unix)) return complaint === undefined;
  if ((written.ports ?? []).length > 0) {
    written.at("ports").error("must not stand beside the path of a socket");
    return false;
  }
  if (complaint === undefined) at.warn("is not called yet: sockets have no ports");
  return complaint === undefined;
}

function complaintOf(address: string, forms: readonly AddressForm[]): string | undefined {
  if (address.startsWith(unix))
    return forms.includes("unix")
      ? checkUnixPath(address.slice(unix.length))
      : "must not be the path of a socket";
  if (isIP(address) !== 0) return undefined;
  if (!forms.includes("name")) return "is not an IP address";
  return checkModernDomain(address, "full") === undefined
    ? undefined
    : "is neither a host name nor an IP address";
}

/** Undefined after the problems have been reported. */
export function readWorkloadEntry(place: Place): WorkloadEntry | undefined {
  const written = workload(place);
  return written && toWorkload(written, ["ip", "name", "unix"]);
}
