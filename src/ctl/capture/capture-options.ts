/** What is to be captured, and what is not: the input of capture-rules.ts, checked already. */

export type Family = "ipv4" | "ipv6";

/** "10.0.0.0/8", "2001:db8::/32"; a single address has no slash. */
export interface AddressBlock {
  readonly family: Family;
  readonly text: string;
}

/** Everything, or what is listed; an empty list: nothing. */
export type AllOr<T> = "*" | readonly T[];

export interface CaptureOptions {
  /** Where outgoing connections are sent. */
  readonly proxyPort: number;
  /** Where incoming connections are sent. */
  readonly inboundPort: number;
  /** Incoming connections to it reach the proxy as they are. */
  readonly tunnelPort: number;
  /** Users and groups, by number or name, whose connections are the proxy's own. */
  readonly proxyUsers: readonly string[];
  readonly proxyGroups: readonly string[];
  readonly mode: "REDIRECT" | "TPROXY";
  readonly tproxyMark: number;
  readonly tproxyRouteTable: number;
  readonly inboundPorts: AllOr<number>;
  readonly inboundPortsExclude: readonly number[];
  readonly outboundBlocks: AllOr<AddressBlock>;
  readonly outboundBlocksExclude: readonly AddressBlock[];
  /** Captured whatever the address is. */
  readonly outboundPorts: readonly number[];
  readonly outboundPortsExclude: readonly number[];
  /** Only what processes of these groups send is captured. */
  readonly ownerGroups: AllOr<string>;
  readonly ownerGroupsExclude: readonly string[];
  /** Interfaces whose traffic is left alone. */
  readonly interfacesExclude: readonly string[];
  /** Interfaces of virtual machines: what comes in from them is treated as outgoing. */
  readonly virtualInterfaces: readonly string[];
  readonly dns: DnsCapture | undefined;
  readonly dropInvalid: boolean;
  /** Destinations that mean this machine itself: never captured. */
  readonly loopback: string;
  readonly ipv6: boolean;
}

export interface DnsCapture {
  /** Where the proxy answers. */
  readonly port: number;
  /** Questions to these resolvers, or to any. */
  readonly servers: AllOr<AddressBlock>;
}

/** The proxy's own ports, which are asked from outside: metrics, readiness. */
export const OWN_PORTS: readonly number[] = [15020, 15021, 15090];

export const defaultCaptureOptions: CaptureOptions = {
  proxyPort: 15001,
  inboundPort: 15006,
  tunnelPort: 15008,
  proxyUsers: ["1337"],
  proxyGroups: ["1337"],
  mode: "REDIRECT",
  tproxyMark: 1337,
  tproxyRouteTable: 133,
  inboundPorts: "*",
  inboundPortsExclude: [22, ...OWN_PORTS],
  outboundBlocks: "*",
  outboundBlocksExclude: [],
  outboundPorts: [],
  outboundPortsExclude: [],
  ownerGroups: "*",
  ownerGroupsExclude: [],
  interfacesExclude: [],
  virtualInterfaces: [],
  dns: undefined,
  dropInvalid: false,
  loopback: "127.0.0.1/32",
  ipv6: false,
};
