/** Tokens, the authority and what it issued, for operators. ListAudit is the audit log's own. */
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  AccessRole,
  type IdentityAdminService,
  WorkloadMode,
} from "../../api/gen/mesh/v1/identity_pb.ts";
import { callerOf, type Role, whoText } from "../../api/principal.ts";
import { formatSpiffeId } from "../../core/spiffe-id.ts";
import type { AccessTokenRecord } from "../identity/access-tokens.ts";
import { AuthorityFault } from "../identity/authority.ts";
import { authorityMessage } from "../identity/authority-message.ts";
import { serviceName, wishedIdentity } from "../identity/caller-claim.ts";
import { labelProblem, labelText, modeMessage, modeOf } from "../identity/grant.ts";
import type { Identity } from "../identity/identity.ts";
import type { JoinTokenRecord } from "../identity/join-tokens.ts";

type Admin = ServiceImpl<typeof IdentityAdminService>;

const JOIN_SECONDS = 3_600;
const JOIN_SECONDS_MAX = 90 * 86_400;
const USES_MAX = 100_000;
const LIMIT = 100;
const LIMIT_MAX = 10_000;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

const ROLES: ReadonlyMap<AccessRole, Role> = new Map([
  [AccessRole.VIEWER, "viewer"],
  [AccessRole.OPERATOR, "operator"],
  [AccessRole.ADMIN, "admin"],
]);

export function identityAdminService(identity: Identity): Omit<Admin, "listAudit"> {
  return {
    ...joinTokenMethods(identity),
    ...accessTokenMethods(identity),
    ...authorityMethods(identity),
  };
}

function joinTokenMethods(
  identity: Identity,
): Pick<Admin, "createJoinToken" | "listJoinTokens" | "revokeJoinToken"> {
  const { joinTokens, authority } = identity;
  return {
    createJoinToken({ service, serviceAccount, uses, lifetimeSeconds, mode, labels }, { values }) {
      const name = serviceName(service);
      const wish = { service, account: serviceAccount };
      const id = wishedIdentity(wish, identity.options.trustDomain);
      if (id === undefined || (service !== "" && name === ""))
        throw improper(
          "for whom: service as in reviews.default, service_account as in default/web",
        );
      if (name !== "" && name.split(".")[1] !== id.namespace)
        throw improper(`the service account is of another namespace than ${name}`);
      const seconds = lifetimeSeconds || JOIN_SECONDS;
      if (seconds > JOIN_SECONDS_MAX || uses > USES_MAX)
        throw improper(`at most ${JOIN_SECONDS_MAX} s and ${USES_MAX} uses are possible`);
      const wrong = labelProblem(labels);
      if (wrong !== undefined) throw improper(wrong);
      const { text, token } = joinTokens.create({
        identity: formatSpiffeId(id),
        service: name === "" ? `${id.account}.${id.namespace}` : name,
        uses: uses || 1,
        ...{ mode: grantedMode(mode), labels },
        lifetimeMs: seconds * 1_000,
        author: whoText(callerOf(values).principal),
        pin: authority.pinFor(seconds * 1_000),
      });
      noteChange(identity, values, {
        action: "join token created",
        object: token.id,
        detail: joinTokenText(token),
      });
      return { token: text, joinToken: joinTokenMessage(token) };
    },
    listJoinTokens: () => ({ tokens: joinTokens.list().map(joinTokenMessage) }),
    revokeJoinToken({ id }, { values }) {
      if (!joinTokens.revoke(id)) throw absent("join token", id);
      noteChange(identity, values, { action: "join token revoked", object: id, detail: "" });
      return {};
    },
  };
}

function accessTokenMethods(
  identity: Identity,
): Pick<Admin, "createAccessToken" | "listAccessTokens" | "revokeAccessToken"> {
  const { accessTokens, authority } = identity;
  return {
    createAccessToken({ name, role, lifetimeSeconds }, { values }) {
      const granted = ROLES.get(role);
      if (granted === undefined) throw improper("role: viewer, operator or admin");
      if (!NAME.test(name)) throw improper("name: up to 64 letters, digits and . _ - @");
      const lifetimeMs = lifetimeSeconds * 1_000;
      const { text, token } = accessTokens.create({
        name,
        role: granted,
        lifetimeMs,
        author: whoText(callerOf(values).principal),
        pin: authority.pinFor(lifetimeMs),
      });
      noteChange(identity, values, {
        action: "access token created",
        object: token.id,
        detail: `for ${name}, ${granted}`,
      });
      return { token: text, accessToken: accessTokenMessage(token) };
    },
    listAccessTokens: () => ({ tokens: accessTokens.list().map(accessTokenMessage) }),
    revokeAccessToken({ id }, { values }) {
      if (!accessTokens.revoke(id)) throw absent("access token", id);
      noteChange(identity, values, { action: "access token revoked", object: id, detail: "" });
      return {};
    },
  };
}

function authorityMethods(
  identity: Identity,
): Pick<Admin, "getAuthority" | "rotateRoot" | "listIssued"> {
  return {
    getAuthority: () => authorityMessage(identity),
    rotateRoot({ spreadMs }, { values }) {
      try {
        identity.authority.rotate(spreadMs);
      } catch (error) {
        if (!(error instanceof AuthorityFault)) throw error;
        throw new ConnectError(error.message, Code.FailedPrecondition);
      }
      const detail = spreadMs === undefined ? "" : `to sign after ${spreadMs} ms`;
      noteChange(identity, values, { action: "root rotated", object: "authority", detail });
      return authorityMessage(identity);
    },
    listIssued({ limit }) {
      const records = identity.issued.list(Math.min(limit || LIMIT, LIMIT_MAX));
      return {
        certificates: records.map(({ notAfterMs, issuedMs, mode, labels, ...others }) => ({
          ...others,
          notAfterMs: BigInt(notAfterMs),
          issuedMs: BigInt(issuedMs),
          ...{ mode: modeMessage(mode), labels: { ...labels } },
        })),
      };
    },
  };
}

function noteChange(
  { options: { audit } }: Identity,
  values: HandlerContext["values"],
  change: { readonly action: string; readonly object: string; readonly detail: string },
): void {
  const { principal, address } = callerOf(values);
  audit.record({ who: whoText(principal), address, ...change, allowed: true });
}

function joinTokenMessage({ createdMs, expiresMs, mode, labels, ...others }: JoinTokenRecord) {
  const times = { createdMs: BigInt(createdMs), expiresMs: BigInt(expiresMs) };
  return { ...others, ...times, mode: modeMessage(mode), labels: { ...labels } };
}

function joinTokenText({ identity, uses, expiresMs, mode, labels }: JoinTokenRecord): string {
  const bound = Object.keys(labels).length === 0 ? "" : `, bound to ${labelText(labels)}`;
  return `for ${identity} as ${mode}${bound}, ${uses} uses, expires ${isoTime(expiresMs)}`;
}

/** Of a version that knows others, none is granted in their place. */
function grantedMode(mode: WorkloadMode): "sidecar" | "gateway" {
  const granted = mode === WorkloadMode.UNSPECIFIED ? "sidecar" : modeOf(mode);
  if (granted === undefined) throw improper("mode: sidecar or gateway");
  return granted;
}

function accessTokenMessage({ createdMs, expiresMs, role, ...others }: AccessTokenRecord) {
  const [granted = AccessRole.VIEWER] = [...ROLES].find(([, name]) => name === role) ?? [];
  const times = { createdMs: BigInt(createdMs), expiresMs: BigInt(expiresMs) };
  return { ...others, ...times, role: granted };
}

function improper(message: string): ConnectError {
  return new ConnectError(message, Code.InvalidArgument);
}

function absent(what: string, id: string): ConnectError {
  return new ConnectError(`there is no ${what} ${id}`, Code.NotFound);
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
