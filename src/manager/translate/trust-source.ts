/** Who says whom the mesh's proxies believe: an authority, or nobody. */
export interface TrustSource {
  /** "cluster.local" */
  readonly trustDomain: string;
  trust(): {
    /** PEM, one certificate each. */
    readonly rootPems: readonly string[];
  };
  /** Calls back when roots come or go; the returned function ends it. */
  onChange(listener: () => void): () => void;
}
