/** Where a port of the control plane is bound. */
export interface Address {
  readonly hostname: string;
  /** 0 picks one. */
  readonly port: number;
}

/** "127.0.0.1:15010", "localhost:0", "[::1]:15010" */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? -1);
  const hostname = match?.[1] ?? match?.[2];
  if (hostname === undefined || port < 0 || port > 65_535) return undefined;
  return { hostname, port };
}

export function addressText({ hostname, port }: Address): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
