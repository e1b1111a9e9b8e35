/** Certificates for workloads: open to everybody who has something to show. */
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type {
  IdentityService,
  IssueCertificateRequest,
} from "../../api/gen/mesh/v1/identity_pb.ts";
import { callerOf } from "../../api/principal.ts";
import type { RefusalKind } from "../identity/claim.ts";
import { modeOf } from "../identity/grant.ts";
import type { Identity } from "../identity/identity.ts";
import type { IssueCall } from "../identity/issuance.ts";

const CODES: Readonly<Record<RefusalKind, Code>> = {
  unauthenticated: Code.Unauthenticated,
  denied: Code.PermissionDenied,
  improper: Code.InvalidArgument,
  exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
};

export function identityService(identity: Identity): ServiceImpl<typeof IdentityService> {
  return {
    async issueCertificate(request, { values }) {
      const { csrPem, service, serviceAccount: account, lifetimeSeconds } = request;
      const result = await identity.issuance.issue({
        csrPem,
        credential: credentialOf(request),
        service,
        account,
        mode: modeOf(request.mode),
        lifetimeMs: lifetimeSeconds * 1_000,
        caller: callerOf(values),
      });
      if (result.at === "issued")
        return { chainPem: result.leaf.chainPem, trust: identity.trust() };
      const { kind, sentence } = result.refusal;
      throw new ConnectError(sentence, CODES[kind]);
    },
    getTrustBundle: () => identity.trust(),
  };
}

function credentialOf({ credential }: IssueCertificateRequest): IssueCall["credential"] {
  switch (credential.case) {
    case "joinToken":
      return { kind: "join token", text: credential.value };
    case "jwt":
      return { kind: "jwt", text: credential.value };
    case undefined:
      return { kind: "caller" };
    default:
      return credential satisfies never;
  }
}
