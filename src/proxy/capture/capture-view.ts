/**
 * What a published snapshot means to captured traffic: names that are answered, and destinations
 * that are served. Made once for a snapshot whose hosts are new: ten thousand services take a tenth
 * of a second.
 */
import { NameTable } from "../dns/name-table.ts";
import type { VirtualHost } from "../route/virtual-host.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { capturedServices } from "./captured-service.ts";
import { DestinationTable } from "./destination-table.ts";

export interface CaptureView {
  readonly names: NameTable;
  readonly destinations: DestinationTable<VirtualHost>;
  /** Addresses that were made up, by host. */
  readonly allocated: ReadonlyMap<string, string>;
  /** Hosts of the snapshot that it was made from. */
  readonly hosts: Snapshot["hosts"] | undefined;
}

export const emptyCaptureView: CaptureView = {
  names: new NameTable([], []),
  destinations: new DestinationTable<VirtualHost>([], []),
  allocated: new Map(),
  hosts: undefined,
};

/** The former view where only endpoints have changed. `search`: domains behind short names. */
export function captureView(
  { config, hosts, virtualHosts }: Snapshot,
  former: CaptureView,
  search: () => readonly string[],
): CaptureView {
  if (former.hosts === hosts) return former;
  const { services, allocated } = capturedServices(config, former.allocated);
  return {
    names: new NameTable(services, search()),
    destinations: new DestinationTable(services, virtualHosts),
    allocated,
    hosts,
  };
}
