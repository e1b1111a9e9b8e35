/** `mesh ctl token`: join tokens, by which workloads prove who they are the first time. */
import { type JoinToken, WorkloadMode } from "../../api/gen/mesh/v1/identity_pb.ts";
import { call, type Manager, managerAt } from "../client.ts";
import { type CommandContext, CtlError, defineCtlCommand, EXIT, usageError } from "../command.ts";
import { managerFlags } from "../flag.ts";
import { isoTime, jsonText } from "../output/document.ts";
import { labelsText, renderTable } from "../output/table.ts";
import { harmless } from "../terminal.ts";
import { durationSeconds, idToRevoke, labelsOf, modeText, whenText } from "../token-input.ts";

const USES_MAX = 100_000;

export const tokenCommand = defineCtlCommand({
  args: {
    action: { type: "positional", required: true, description: "create, list or revoke" },
    service: {
      type: "string",
      alias: "s",
      valueHint: "NAME",
      description: "With create: the service that the workload stands for",
    },
    "service-account": {
      type: "string",
      valueHint: "NAMESPACE/NAME",
      description: "With create: its account (named as the service)",
    },
    mode: {
      type: "enum",
      options: ["sidecar", "gateway"],
      description: "With create: what may join by it (sidecar)",
    },
    labels: {
      type: "string",
      valueHint: "KEY=VALUE,…",
      description: "With create: the labels of who joins by it (as the proxy says)",
    },
    uses: { type: "string", valueHint: "N", description: "With create: how many times (1)" },
    expires: { type: "string", valueHint: "D", description: "With create: after how long (1h)" },
    output: { type: "enum", alias: "o", options: ["table", "json"], description: "How to print" },
    ...managerFlags,
  },
  repeatable: ["labels"],
  restName: "ID",
  details:
    "A token is good for the identity that it was made for and no other. It is said once; the\n" +
    "manager keeps a hash. It names the root of this mesh, so that whoever has it knows the\n" +
    "manager at first sight. Only --mode gateway lets a gateway in. With --labels a workload\n" +
    "has these labels and no others; without, those that its proxy is started with.\n\n" +
    "Revoked, it ends what began with it: configuration, registration and renewals of whoever\n" +
    "joined by it. Among proxies a certificate lasts until it expires.",
  examples: [
    ["mesh ctl token create --service reviews.default > token", "for one workload, within an hour"],
    ["mesh proxy --manager https://HOST:15012 --token token -- CMD", "and there it is used"],
    [
      "mesh ctl token create -s edge.default --mode gateway > token",
      "for a gateway: mesh proxy --mode gateway",
    ],
    [
      "mesh ctl token create -s reviews.default --labels app=reviews,version=v1",
      "for one version, which cannot say that it is another",
    ],
    ["mesh ctl token create -s web --uses 20 --expires 24h", "for a group of machines"],
    ["mesh ctl token list", "which there are, and how often each was used"],
    ["mesh ctl token revoke 3f9a61c2b7d0", "and no more"],
  ],
  async run(args, context) {
    const { action } = args;
    const manager = managerAt(args, context.io);
    switch (action) {
      case "create":
        return await createToken(manager, args, context);
      case "list":
        return await listTokens(manager, args.output, context);
      case "revoke": {
        const id = idToRevoke(context.rest);
        await call(manager, manager.identity.revokeJoinToken({ id }));
        context.io.stdout(`join token ${id} revoked\n`);
        return EXIT.ok;
      }
      default:
        throw usageError(`token ${JSON.stringify(action)}: create, list or revoke`);
    }
  },
});

interface CreateArguments {
  readonly service?: string | undefined;
  readonly "service-account"?: string | undefined;
  readonly mode?: string | undefined;
  readonly uses?: string | undefined;
  readonly expires?: string | undefined;
  readonly output?: string | undefined;
}

async function createToken(
  manager: Manager,
  args: CreateArguments,
  { io, rest, repeated }: CommandContext,
): Promise<number> {
  if (rest.length > 0) throw usageError(`unexpected argument ${JSON.stringify(rest[0])}`);
  const { service = "", "service-account": serviceAccount = "" } = args;
  if (service === "" && serviceAccount === "")
    throw usageError("for whom? --service NAME, or --service-account NAMESPACE/NAME");
  const uses = Number(args.uses ?? "1");
  if (!Number.isInteger(uses) || uses < 1 || uses > USES_MAX)
    throw usageError(`--uses is a number from 1 to ${USES_MAX}`);
  const lifetimeSeconds = durationSeconds("expires", args.expires ?? "1h");
  if (lifetimeSeconds === 0) throw usageError("--expires 0s would be no token at all");
  const mode = args.mode === "gateway" ? WorkloadMode.GATEWAY : WorkloadMode.SIDECAR;
  const labels = labelsOf(repeated("labels"));
  const wish = { service, serviceAccount, uses, lifetimeSeconds, mode, labels };
  const { token, joinToken } = await call(manager, manager.identity.createJoinToken(wish));
  if (joinToken === undefined) throw new CtlError("the manager answered with no token");
  if (args.output === "json") {
    io.stdout(jsonText({ token, ...tokenJson(joinToken) }));
    return EXIT.ok;
  }
  io.stdout(`${token}\n`);
  const often = uses === 1 ? "once" : `${uses} times`;
  const until = isoTime(joinToken.expiresMs);
  io.stderr(
    `join token ${joinToken.id} for ${joinToken.identity}: good ${often}, until ${until}\n`,
  );
  return EXIT.ok;
}

async function listTokens(
  manager: Manager,
  output: string | undefined,
  { io, paint }: CommandContext,
): Promise<number> {
  const { tokens } = await call(manager, manager.identity.listJoinTokens({}));
  const nowMs = io.clock.wallMs();
  if (output === "json") io.stdout(jsonText({ items: tokens.map(tokenJson) }));
  else if (tokens.length === 0) io.stderr("There are no join tokens.\n");
  else {
    const rows = tokens.map((token) => [
      token.id,
      harmless(token.identity),
      harmless(token.service) || "-",
      modeText(token.mode),
      harmless(labelsText(token.labels)),
      `${token.used}/${token.uses}`,
      stateOf(token, nowMs),
      whenText(token.expiresMs, nowMs),
      harmless(token.author) || "-",
    ]);
    const headers = [
      "ID",
      "IDENTITY",
      "SERVICE",
      "MODE",
      "LABELS",
      "USED",
      "STATE",
      "EXPIRES",
      "AUTHOR",
    ];
    io.stdout(renderTable(headers, rows, paint));
  }
  return EXIT.ok;
}

function stateOf({ revoked, used, uses, expiresMs }: JoinToken, nowMs: number): string {
  if (revoked) return "revoked";
  if (Number(expiresMs) <= nowMs) return "expired";
  return used >= uses ? "used up" : "good";
}

function tokenJson(token: JoinToken) {
  const { $typeName: _, $unknown: __, createdMs, expiresMs, ...others } = token;
  const times = { created: isoTime(createdMs), expires: isoTime(expiresMs) };
  return { ...others, mode: modeText(token.mode), ...times };
}
