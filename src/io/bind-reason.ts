/** Why an address could not be bound, in words that follow it: "127.0.0.1:15001 is taken". */

export function bindReason(thrown: unknown): string {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return "is taken";
    case "EACCES":
      return "may not be bound by this user";
    case "EPERM":
      return "cannot take what TPROXY hands over without CAP_NET_ADMIN";
    case "EADDRNOTAVAIL":
      return "is no address of this host";
    default:
      return `cannot be bound (${thrown instanceof Error ? thrown.message : String(thrown)})`;
  }
}
