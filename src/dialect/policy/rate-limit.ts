/**
 * A rate limit in one line of a rule, ours; a handler and an instance are made of it.
 *
 *   100/s                                           of all requests that match
 *   100/s by request.headers["x-user"]              of each user
 *   5000/10m by source.namespace, request.path      of each combination
 *   1000/h rolling by source.user at redis://r:6379 of the whole mesh, in this Redis
 *
 *   LIMIT  := AMOUNT "/" [COUNT] UNIT [WINDOW] ["by" EXPRESSION {"," EXPRESSION}] ["at" REDIS]
 *   UNIT   := "s" | "m" | "h" | "d", or in full: "second", "minutes"
 *   WINDOW := "rolling" | "fixed"    without Redis always rolling, in it fixed unless it is said
 */
import { isSeq } from "yaml";
import { ExpressionFault, type Token, tokensOf } from "../../expression/lexer.ts";
import type { Handler } from "../../model/handler.ts";
import type { ExpressionText, Instance } from "../../model/instance.ts";
import { type Action, inlineName } from "../../model/policy-rule.ts";
import { formatDuration } from "../../model/validate-duration.ts";
import { list, type Reader } from "../schema/message.ts";
import type { Place } from "../schema/place.ts";
import { text } from "../schema/scalar.ts";
import { errorWithin, positionWithin } from "./expression-text.ts";

/** Where an action stands, and so what its parts are called. */
export interface ActionSeat {
  readonly rule: string;
  readonly namespace: string;
  readonly index: number;
}

export interface RateLimit {
  readonly toAction: (seat: ActionSeat) => Action;
}

const units: readonly (readonly [pattern: RegExp, ms: number])[] = [
  [/^s(ec(ond)?s?)?$/, 1_000],
  [/^m(in(ute)?s?)?$/, 60_000],
  [/^h(ours?)?$/, 3_600_000],
  [/^d(ays?)?$/, 86_400_000],
];

/** As much as a duration may be. */
const daysMax = 49;
const usage = 'write AMOUNT/UNIT as in "100/s", "5000/10m by source.user"';

/** One line, or a list of them. */
export const rateLimits: Reader<readonly RateLimit[]> = (place) => {
  if (isSeq(place.node)) return list(rateLimit)(place);
  const one = rateLimit(place);
  return one === undefined ? undefined : [one];
};

const rateLimit: Reader<RateLimit> = (place) => {
  const line = text(place);
  if (line === undefined) return undefined;
  const head = readHead(line, place);
  if (head === undefined) return undefined;
  const rest = readRest(line, head.end, place);
  if (rest === undefined || !isWindowPossible(head, rest, place)) return undefined;
  const { dimensions, redis } = rest;
  const limit: Limit = { ...head, redis };
  return {
    toAction: (seat) => ({
      name: "",
      handler: handlerOf(limit, seat, place),
      instances: [instanceOf(dimensions, place)],
      charge: 1,
      at: place.position,
    }),
  };
};

interface Head {
  readonly amount: number;
  readonly windowMs: number;
  readonly window: "rolling" | "fixed" | undefined;
  /** Where the word for the window stands. */
  readonly windowAt: number;
  readonly end: number;
}

interface Limit extends Head {
  readonly redis: string;
}

/** "100/10m rolling" */
function readHead(line: string, place: Place): Head | undefined {
  const found = /^(\s*)(\d+)(\s*\/\s*)(\d*)(\s*)([a-z]*)(\s*)(rolling\b|fixed\b)?/i.exec(line);
  const [whole, margin, amount, slash, count, space, unit, gap, window] = found ?? [];
  if (whole === undefined || slash === undefined) {
    const number = /^\s*\d*/.exec(line)?.[0].length ?? 0;
    errorWithin(place, number, "is no rate limit", usage);
    return undefined;
  }
  const unitMs = units.find(([pattern]) => pattern.test(unit!.toLowerCase()))?.[1];
  const countAt = margin!.length + amount!.length + slash.length;
  const windowMs = Number(count || 1) * (unitMs ?? 0);
  const fail = (index: number, message: string): undefined =>
    void errorWithin(place, index, message);
  if (unitMs === undefined)
    return fail(countAt + count!.length + space!.length, "must be per s, m, h or d");
  if (!Number.isSafeInteger(Number(amount)) || Number(amount) === 0)
    return fail(margin!.length, `must allow 1 to ${Number.MAX_SAFE_INTEGER}, not ${amount}`);
  if (windowMs === 0 || windowMs > daysMax * 86_400_000)
    return fail(countAt, `must be a time of at most ${daysMax} days`);
  return {
    amount: Number(amount),
    windowMs,
    window: window?.toLowerCase() as Head["window"],
    windowAt: whole.length - (window?.length ?? 0),
    end: whole.length - (window === undefined ? gap!.length : 0),
  };
}

interface Rest {
  readonly dimensions: readonly ExpressionText[];
  readonly redis: string;
}

function isWindowPossible({ window, windowAt }: Head, { redis }: Rest, place: Place): boolean {
  if (window !== "fixed" || redis !== "") return true;
  const hint = "leave the word out, or count at redis://HOST:PORT";
  errorWithin(place, windowAt, "a window that does not roll needs a Redis", hint);
  return false;
}

/** "by source.user, request.path at redis://r:6379" */
function readRest(line: string, from: number, place: Place): Rest | undefined {
  const [, gap, word] = /^(\s*)(\S*)/.exec(line.slice(from)) ?? [];
  const start = from + gap!.length;
  if (word === "") return { dimensions: [], redis: "" };
  if (word !== "by" && word !== "at") {
    errorWithin(place, start, `must go on with "by" or "at", not ${JSON.stringify(word)}`, usage);
    return undefined;
  }
  const at = word === "at" ? start : wordAt(line, start + 2, place);
  if (at === undefined) return undefined;
  const redis = line.slice(at + 2).trim();
  if (at < line.length && !/^rediss?:\/\/[^\s/]/.test(redis)) {
    const after = at + 2 + (/^\s*/.exec(line.slice(at + 2))?.[0].length ?? 0);
    errorWithin(place, after, "must be a Redis as in redis://HOST:PORT");
    return undefined;
  }
  const dimensions = word === "at" ? [] : dimensionsIn(line.slice(0, at), start + 2, place);
  return dimensions && { dimensions, redis };
}

/** Where the word "at" stands behind a whole expression, or the end of the line. */
function wordAt(line: string, from: number, place: Place): number | undefined {
  const tokens = tokensIn(line, from, place);
  if (tokens === undefined) return undefined;
  const found = tokens.find(({ token, depth, before }) => {
    const ends =
      before !== undefined && (before.kind !== "operator" || /^[)\]]$/.test(before.text));
    return depth === 0 && ends && token.kind === "name" && token.text === "at";
  });
  return found === undefined ? line.length : from + found.token.offset;
}

function dimensionsIn(
  line: string,
  from: number,
  place: Place,
): readonly ExpressionText[] | undefined {
  const tokens = tokensIn(line, from, place);
  if (tokens === undefined) return undefined;
  const commas = tokens.filter(({ token, depth }) => depth === 0 && token.text === ",");
  const bounds = [from - 1, ...commas.map(({ token }) => from + token.offset), line.length];
  const found = new Map<string, ExpressionText>();
  for (const [i, end] of bounds.slice(1).entries()) {
    const written = line.slice(bounds[i]! + 1, end);
    const source = written.trim();
    const start = bounds[i]! + 1 + (written.length - written.trimStart().length);
    if (source === "") {
      errorWithin(place, Math.min(start, line.length), "must be an expression, and there is none");
      return undefined;
    }
    if (found.has(source)) {
      errorWithin(place, start, `${source} is given twice`);
      return undefined;
    }
    found.set(source, { source, at: positionWithin(place, start) });
  }
  return [...found.values()];
}

interface Nested {
  readonly token: Token;
  /** Of brackets around it. */
  readonly depth: number;
  readonly before: Token | undefined;
}

/** Of the text behind `from`; undefined after a problem was reported. */
function tokensIn(line: string, from: number, place: Place): readonly Nested[] | undefined {
  try {
    let depth = 0;
    return tokensOf(line.slice(from)).map((token, i, all) => {
      if (token.kind === "operator" && /^[)\]]$/.test(token.text)) depth--;
      const nested = { token, depth, before: all[i - 1] };
      if (token.kind === "operator" && /^[([]$/.test(token.text)) depth++;
      return nested;
    });
  } catch (cause) {
    if (!(cause instanceof ExpressionFault)) throw cause;
    errorWithin(place, from + cause.offset, cause.message);
    return undefined;
  }
}

function handlerOf(limit: Limit, { rule, namespace, index }: ActionSeat, place: Place): Handler {
  const { amount, windowMs, window, redis } = limit;
  const quota = {
    name: `${inlineName(rule, index, 0)}.instance.${namespace}`,
    maxAmount: amount,
    validDuration: formatDuration(windowMs),
    ...(window === "rolling" &&
      redis !== "" && {
        rateLimitAlgorithm: "ROLLING_WINDOW",
        bucketDuration: formatDuration(windowMs / bucketsInWindow),
      }),
  };
  const parameters = { ...(redis !== "" && { redisServerUrl: redis }), quotas: [quota] };
  return {
    writtenKind: "handler",
    adapter: redis === "" ? "memquota" : "redisquota",
    adapterAt: place.position,
    parameters: { json: JSON.stringify(parameters), positions: { "": positionWithin(place, 0) } },
  };
}

const bucketsInWindow = 10;

/** A dimension is called as its expression is written. */
function instanceOf(dimensions: readonly ExpressionText[], place: Place): Instance {
  const named = Object.fromEntries(dimensions.map((one) => [one.source, one]));
  return {
    writtenKind: "instance",
    template: "quota",
    templateAt: place.position,
    fields: dimensions.length === 0 ? {} : { dimensions: named },
    positions: dimensions.length === 0 ? {} : { dimensions: positionWithin(place, 0) },
    attributeBindings: {},
  };
}
