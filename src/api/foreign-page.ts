/**
 * Requests that a browser makes for a page which is not ours: somebody was lured there, and his
 * browser reaches what only he can reach. Browsers say so themselves (Fetch Metadata); older ones
 * name the page's origin. Whoever is no browser sends neither.
 */
export function isForeignPage(
  header: (name: string) => string | undefined,
  scheme: "http" | "https",
): boolean {
  const site = header("sec-fetch-site");
  // "none": a person typed or chose the address; "same-site" may be anybody's page next door.
  if (site !== undefined && site !== "same-origin" && site !== "none") return true;
  const origin = header("origin");
  return origin !== undefined && origin !== `${scheme}://${header("host") ?? ""}`;
}
