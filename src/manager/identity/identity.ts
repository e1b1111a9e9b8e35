/** Everything of the manager that has to do with who is who, opened on one store. */
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { AccessTokens } from "./access-tokens.ts";
import { Authority } from "./authority.ts";
import type { AuthorityFiles } from "./authority-files.ts";
import type { IdentityStore } from "./identity-store.ts";
import { Issuance, type IssueAudit, type JwtAuthenticator } from "./issuance.ts";
import { IssuedLog } from "./issued-log.ts";
import { JoinTokens } from "./join-tokens.ts";
import type { KeySeal } from "./key-seal.ts";
import { ServingCertificate } from "./serving-certificate.ts";
import { Standing } from "./standing.ts";

export interface IdentityOptions {
  readonly store: IdentityStore;
  readonly seal: KeySeal;
  readonly clock: Clock;
  readonly log: Log;
  readonly audit: IssueAudit;
  readonly trustDomain: string;
  /** Domains whose identities count as those of this one; may change. */
  readonly aliases: () => readonly string[];
  readonly leafLifetimeMs: number;
  readonly rootLifetimeMs?: number;
  /** Undefined: roots of our own. */
  readonly files: AuthorityFiles | undefined;
  readonly jwts: readonly JwtAuthenticator[];
  /** "default/edge": accounts whose workloads may be gateways. */
  readonly gatewayAccounts: ReadonlySet<string>;
  /** By which clients reach the manager. */
  readonly hosts: readonly string[];
}

/** Whom to believe; the form of the API's TrustBundle. */
export interface Trust {
  readonly trustDomain: string;
  readonly trustDomainAliases: string[];
  /** PEM, one certificate each. */
  readonly rootPems: string[];
}

export class Identity {
  readonly options: IdentityOptions;
  readonly authority: Authority;
  readonly joinTokens: JoinTokens;
  readonly accessTokens: AccessTokens;
  readonly issued: IssuedLog;
  readonly standing: Standing;
  readonly issuance: Issuance;
  readonly serving: ServingCertificate;

  /** Throws a sentence where nothing could ever be signed; the store is the caller's to close. */
  constructor(options: IdentityOptions) {
    const { store, clock, log, jwts, audit, hosts, gatewayAccounts } = options;
    this.options = options;
    this.authority = new Authority(options);
    this.joinTokens = new JoinTokens(store, clock);
    this.accessTokens = new AccessTokens(store, clock);
    this.issued = new IssuedLog(store, clock);
    const { authority, joinTokens: tokens, issued } = this;
    const standing = new Standing({ authority, tokens, issued, gatewayAccounts });
    this.standing = standing;
    this.issuance = new Issuance({ authority, tokens, issued, standing, jwts, audit, clock, log });
    this.serving = new ServingCertificate({ authority, issued, clock, log, hosts });
  }

  get trustDomain(): string {
    return this.options.trustDomain;
  }

  trust(): Trust {
    return {
      trustDomain: this.options.trustDomain,
      trustDomainAliases: [...this.options.aliases()],
      rootPems: [...this.authority.roots],
    };
  }

  /** When others are to be trusted. */
  onChange(listener: () => void): () => void {
    return this.authority.onChange(listener);
  }

  close(): void {
    this.serving.close();
    this.standing.close();
    this.authority.close();
  }
}
