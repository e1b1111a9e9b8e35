/** `mesh ctl certs`: who signs, what was issued, a rotation, or what one proxy has. */
import {
  type Authority,
  type AuthorityCertificate,
  type IssuedCertificate,
  AuthorityCertificate_Role as Role,
} from "../../api/gen/mesh/v1/identity_pb.ts";
import { askAdmin } from "../admin-port.ts";
import { call, type Manager, managerAt } from "../client.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT, usageError } from "../command.ts";
import { managerFlags } from "../flag.ts";
import { certificateTables, readCertificatePage } from "../output/certificate-table.ts";
import { isoTime, jsonText } from "../output/document.ts";
import { labelsText, renderTable } from "../output/table.ts";
import { findProxy } from "../proxy-reference.ts";
import { harmless } from "../terminal.ts";
import { durationMs, modeText, whenText } from "../token-input.ts";

const LIMIT_MAX = 10_000;

export const certsCommand = defineCtlCommand({
  args: {
    admin: {
      type: "string",
      valueHint: "HOST:PORT",
      description: "Ask a proxy's own admin port; then no PROXY is named",
    },
    after: {
      type: "string",
      valueHint: "D",
      description: "With rotate: when the new root signs (after the life of a certificate)",
    },
    limit: { type: "string", valueHint: "N", description: "With issued: the newest N (100)" },
    output: { type: "enum", alias: "o", options: ["table", "json"], description: "How to print" },
    ...managerFlags,
  },
  restName: "issued|roots|rotate|PROXY",
  details:
    "Without a word: the authority, when each certificate expires, and whether a rotation is\n" +
    "under way. issued: what was issued to whom, by which credential, and what that bound it\n" +
    "to be. roots: whom everybody trusts, in PEM. rotate: makes a new root, which everybody\n" +
    "trusts from now on and which signs later; asked again, it hurries. A PROXY: its\n" +
    "certificate, and whom it trusts.",
  examples: [
    ["mesh ctl certs", "who signs, and until when"],
    ["mesh ctl certs productpage", "what that proxy shows, and when it renews"],
    ["mesh ctl certs issued", "the last hundred certificates"],
    ["mesh ctl certs roots > roots.pem", "for --ca, and for software outside of the mesh"],
    ["mesh ctl certs rotate", "a new root; nothing is interrupted"],
    ["mesh ctl certs rotate --after 1m", "soon: proxies that are away for longer will have to ask"],
  ],
  async run(args, context) {
    const { io, rest } = context;
    const [word = "", more] = rest;
    if (more !== undefined) throw usageError(`unexpected argument ${JSON.stringify(more)}`);
    if (args.admin !== undefined) return await showProxy(args.admin, args.output, context);
    const manager = managerAt(args, io);
    switch (word) {
      case "":
        return showAuthority(await authorityOf(manager), args.output, context);
      case "issued":
        return await showIssued(manager, args, context);
      case "roots":
        io.stdout((await authorityOf(manager)).trust?.rootPems.join("") ?? "");
        return EXIT.ok;
      case "rotate":
        return await rotate(manager, args, context);
      default:
        return await showProxy(await adminOf(manager, word), args.output, context);
    }
  },
});

const roleNames: Readonly<Record<Role, string>> = {
  [Role.UNSPECIFIED]: "unknown",
  [Role.ACTIVE_ROOT]: "root",
  [Role.COMING_ROOT]: "coming root",
  [Role.FORMER_ROOT]: "former root",
  [Role.INTERMEDIATE]: "intermediate",
};

async function authorityOf(manager: Manager): Promise<Authority> {
  return await call(manager, manager.identity.getAuthority({}));
}

function showAuthority(
  authority: Authority,
  output: string | undefined,
  { io, paint }: CommandContext,
): number {
  const { trust, certificates, leafLifetimeSeconds } = authority;
  if (output === "json") {
    io.stdout(
      jsonText({
        trustDomain: trust?.trustDomain,
        trustDomainAliases: trust?.trustDomainAliases,
        leafLifetimeSeconds,
        certificates: certificates.map(certificateJson),
      }),
    );
    return EXIT.ok;
  }
  const nowMs = io.clock.wallMs();
  const aliases = trust?.trustDomainAliases ?? [];
  const also = aliases.length === 0 ? "" : `, also ${aliases.join(", ")}`;
  io.stdout(`trust domain ${trust?.trustDomain}${also}\n`);
  io.stdout(`certificates live for ${Math.round(leafLifetimeSeconds / 360) / 10} h\n\n`);
  const rows = certificates.map((certificate) => [
    roleNames[certificate.role],
    harmless(certificate.subject) || "-",
    isoTime(certificate.notAfterMs).slice(0, 10),
    whenText(certificate.notAfterMs, nowMs),
    rotationText(certificate, nowMs),
    certificate.fingerprint.slice(0, 16),
  ]);
  const headers = ["ROLE", "SUBJECT", "UNTIL", "EXPIRES", "ROTATION", "SHA-256"];
  io.stdout(renderTable(headers, rows, paint));
  return EXIT.ok;
}

function rotationText({ role, untilMs }: AuthorityCertificate, nowMs: number): string {
  if (role === Role.COMING_ROOT) return `signs ${whenText(untilMs, nowMs)}`;
  if (role !== Role.FORMER_ROOT) return "-";
  return Number(untilMs) <= nowMs ? "goes now" : `trusted until ${isoTime(untilMs)}`;
}

function certificateJson(certificate: AuthorityCertificate) {
  const { fingerprint, subject, notBeforeMs, notAfterMs, role, untilMs } = certificate;
  return {
    role: roleNames[role],
    subject,
    sha256: fingerprint,
    notBefore: isoTime(notBeforeMs),
    notAfter: isoTime(notAfterMs),
    until: isoTime(untilMs),
  };
}

async function rotate(
  manager: Manager,
  args: { readonly after?: string | undefined; readonly output?: string | undefined },
  context: CommandContext,
): Promise<number> {
  const wish =
    args.after === undefined ? {} : { spreadMs: Math.round(durationMs("after", args.after)) };
  const authority = await call(manager, manager.identity.rotateRoot(wish));
  return showAuthority(authority, args.output, context);
}

async function showIssued(
  manager: Manager,
  args: { readonly limit?: string | undefined; readonly output?: string | undefined },
  { io, paint }: CommandContext,
): Promise<number> {
  const limit = Number(args.limit ?? "100");
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX)
    throw usageError(`--limit is a number from 1 to ${LIMIT_MAX}`);
  const { certificates } = await call(manager, manager.identity.listIssued({ limit }));
  if (args.output === "json") {
    io.stdout(jsonText({ items: certificates.map(issuedJson) }));
    return EXIT.ok;
  }
  const nowMs = io.clock.wallMs();
  const rows = certificates.map((certificate) => [
    isoTime(certificate.issuedMs),
    harmless(certificate.identity),
    modeText(certificate.mode),
    harmless(labelsText(certificate.labels)),
    whenText(certificate.notAfterMs, nowMs),
    harmless(certificate.by),
    harmless(certificate.address) || "-",
    certificate.serial,
  ]);
  const headers = ["ISSUED", "IDENTITY", "MODE", "LABELS", "EXPIRES", "BY", "FROM", "SERIAL"];
  io.stdout(renderTable(headers, rows, paint));
  return EXIT.ok;
}

function issuedJson(certificate: IssuedCertificate) {
  const { serial, identity, notAfterMs, issuedMs, by, address, mode, labels } = certificate;
  return {
    ...{ serial, identity, issued: isoTime(issuedMs), notAfter: isoTime(notAfterMs) },
    ...{ by, address, mode: modeText(mode), labels },
  };
}

async function adminOf(manager: Manager, wanted: string): Promise<string> {
  const { proxies } = await call(manager, manager.status.listProxies({}));
  const { adminAddress, nodeId } = findProxy(proxies, wanted);
  if (adminAddress !== "") return adminAddress;
  throw new CtlError(`proxy ${nodeId} told no admin address, and only there its keys are known`);
}

async function showProxy(
  admin: string,
  output: string | undefined,
  { io, paint }: CommandContext,
): Promise<number> {
  const page = readCertificatePage(await askAdmin(admin, "/certs"));
  if (page === undefined)
    throw new CtlError(`what answers at ${admin} is not the admin port of a mesh proxy`);
  if (output === "json") {
    io.stdout(jsonText(page.json));
    return EXIT.ok;
  }
  for (const { title, headers, rows } of certificateTables(page, io.clock.wallMs())) {
    io.stdout(`${paint.bold(title)}\n`);
    io.stdout(rows.length === 0 ? "none\n" : renderTable(headers, rows, paint));
  }
  return EXIT.ok;
}
