/**
 * How requests for one destination are routed. One RouteRule has one match and one action; rules
 * of a destination are tried by falling precedence, then by rising key, and the first that matches
 * is executed. Spec table: manager 1.3 to 1.6.
 */
export type StringMatch =
  | { readonly kind: "exact"; readonly value: string }
  | { readonly kind: "prefix"; readonly value: string }
  /** RE2 syntax, the whole value. */
  | { readonly kind: "regex"; readonly value: string }
  | { readonly kind: "present" };

/** Who is meant: a full host name, narrowed by labels. */
export interface ServiceRef {
  /** "reviews.default.svc.cluster.local", "*.example.com", "*" */
  readonly host: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface RouteRule {
  readonly destination: ServiceRef;
  readonly precedence: number;
  readonly match: RouteRuleMatch;
  /** Empty without redirect: the destination itself. */
  readonly route: readonly WeightedDestination[];
  readonly redirect?: { readonly uri: string; readonly authority: string; readonly code: number };
  readonly rewrite?: { readonly uri: string; readonly authority: string };
  readonly websocketUpgrade: boolean;
  /** Of the whole exchange, retries included. */
  readonly timeoutMs: number;
  /** Nobody wrote the timeout: it is the dialect's. */
  readonly timeoutIsDefault?: true;
  readonly retries?: Retries;
  readonly delay?: { readonly percent: number; readonly fixedDelayMs: number };
  readonly abort?: { readonly percent: number; readonly httpStatus: number };
  readonly mirror?: ServiceRef;
  readonly cors?: CorsPolicy;
  readonly appendHeaders: Readonly<Record<string, string>>;
}

export interface RouteRuleMatch {
  /** The caller; absent: anybody. An empty host with labels means any service with them. */
  readonly source?: ServiceRef;
  readonly uri?: StringMatch;
  readonly scheme?: StringMatch;
  readonly method?: StringMatch;
  readonly authority?: StringMatch;
  /** Keys in lower case. */
  readonly headers: Readonly<Record<string, StringMatch>>;
  /** Accepted and kept; only TCP connections could match them. */
  readonly tcp?: {
    readonly sourceSubnets: readonly string[];
    readonly destinationSubnets: readonly string[];
  };
}

export interface WeightedDestination {
  readonly destination: ServiceRef;
  readonly weight: number;
}

export interface Retries {
  readonly attempts: number;
  /** Absent: the timeout of the exchange alone. */
  readonly perTryTimeoutMs?: number;
  /** A try goes on beside the next one when its time has passed: which methods. Absent: none. */
  readonly hedge?: "idempotent" | "all";
}

export interface CorsPolicy {
  readonly allowOrigins: readonly StringMatch[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeSeconds?: number;
  readonly allowCredentials: boolean;
}
