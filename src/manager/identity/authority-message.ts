/** The authority as operators see it: every certificate of it, and what each is for. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type AuthoritySchema,
  AuthorityCertificate_Role as Role,
} from "../../api/gen/mesh/v1/identity_pb.ts";
import { sha256Of, subjectOf } from "../../io/tls-facts.ts";
import type { AuthorityRow } from "./authority-table.ts";
import type { Identity } from "./identity.ts";
import { certificatesOf } from "./trusted-roots.ts";

type AuthorityInit = MessageInitShape<typeof AuthoritySchema>;
type CertificateInit = NonNullable<AuthorityInit["certificates"]>[number];

export function authorityMessage(identity: Identity): AuthorityInit {
  const found = new Map<string, CertificateInit>();
  for (const row of identity.authority.rows)
    for (const certificate of certificatesOfRow(row))
      if (!found.has(certificate.fingerprint ?? ""))
        found.set(certificate.fingerprint ?? "", certificate);
  return {
    trust: identity.trust(),
    certificates: [...found.values()],
    leafLifetimeSeconds: Math.round(identity.options.leafLifetimeMs / 1_000),
  };
}

const ROLES: Readonly<Record<AuthorityRow["state"], Role>> = {
  active: Role.ACTIVE_ROOT,
  coming: Role.COMING_ROOT,
  former: Role.FORMER_ROOT,
};

/** Roots first, then what lies below them. */
function certificatesOfRow(row: AuthorityRow): readonly CertificateInit[] {
  const untilMs =
    row.state === "active" ? 0 : row.state === "coming" ? row.signsFromMs : row.neededUntilMs;
  const roots = certificatesOf(row.roots);
  // What a former root says of a newer one is the newer one again.
  const below = row.origin === "own" ? [] : certificatesOf(row.above + row.certificate);
  const all = [
    ...roots.map((certificate) => ({ certificate, role: ROLES[row.state] })),
    ...below
      .filter(({ raw }) => !roots.some((root) => root.raw.equals(raw)))
      .map((certificate) => ({ certificate, role: Role.INTERMEDIATE })),
  ];
  return all.map(({ certificate, role }) => ({
    fingerprint: sha256Of(certificate),
    subject: subjectOf(certificate),
    notBeforeMs: BigInt(certificate.validFromDate.getTime()),
    notAfterMs: BigInt(certificate.validToDate.getTime()),
    role,
    untilMs: BigInt(Math.round(untilMs)),
  }));
}
