/**
 * Tree ─▶ closures over a bag. Attributes are slots by now, constant parts are values, and faults
 * that can be foreseen exist: a comparison of scalars allocates nothing, an absent attribute is
 * `undefined` where `|` follows and a Fault of its own elsewhere.
 */
import type { AttributeBag, Reading } from "../attribute/bag.ts";
import { compareText } from "../attribute/byte-text.ts";
import { Fault, lookupFailed } from "../attribute/fault.ts";
import { ipAddressesEqual } from "../attribute/ip-address.ts";
import { compareTimestamps } from "../attribute/timestamp.ts";
import {
  addInt64,
  type StringMap,
  toInt64,
  type Value,
  type ValueType,
} from "../attribute/value.ts";
import type { Vocabulary } from "../attribute/vocabulary.ts";
import { typeOf } from "./check.ts";
import { ExpressionFault } from "./lexer.ts";
import { dnsNamesEqual, emailsEqual, urisEqual } from "./name.ts";
import type { Node } from "./parser.ts";
import { compileRegex, standardFunctions } from "./standard-function.ts";

/** Undefined only where the caller asked for it: `soft`. */
export type Run = (bag: AttributeBag) => Reading;
type Call = Extract<Node, { kind: "call" }>;
type Two = (a: never, b: never) => Value | Fault;

const identical: Two = (a: Value, b: Value) => a === b;
const equality: Readonly<Partial<Record<ValueType, Two>>> = {
  BOOL: identical,
  STRING: identical,
  INT64: identical,
  DOUBLE: identical,
  DURATION: identical,
  IP_ADDRESS: ipAddressesEqual,
  TIMESTAMP: ((a, b) => compareTimestamps(a, b) === 0) as Two,
  DNS_NAME: dnsNamesEqual,
  EMAIL_ADDRESS: emailsEqual,
  URI: urisEqual,
};
const byNumber = (a: number, b: number): number =>
  a < b ? -1 : a > b ? 1 : a === b ? 0 : Number.NaN;
const order: Readonly<Partial<Record<ValueType, (a: never, b: never) => number>>> = {
  STRING: compareText,
  INT64: byNumber,
  DOUBLE: byNumber,
  DURATION: byNumber,
  TIMESTAMP: compareTimestamps,
};
const sum: Readonly<Partial<Record<ValueType, Two>>> = {
  STRING: ((a: string, b: string) => a + b) as Two,
  INT64: addInt64 as Two,
  DOUBLE: ((a: number, b: number) => a + b) as Two,
};
/** Go's names, which the messages of old have. */
const goKind: Readonly<Partial<Record<ValueType, string>>> = {
  BOOL: "bool",
  DURATION: "duration",
};

export class Compiler {
  readonly #vocabulary: Vocabulary;
  /** Slots that the expression may read. */
  readonly slots = new Set<number>();

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  compile(node: Node, soft: boolean): Run {
    if (node.kind === "constant") return always(node.constant.value);
    if (node.kind === "attribute") return this.#attribute(node.name, soft);
    const run = this.#call(node, soft);
    return isConstant(node) ? always(run(nothing)) : run;
  }

  #attribute(name: string, soft: boolean): Run {
    const { slot } = this.#vocabulary.find(name)!;
    this.slots.add(slot);
    if (soft) return (bag) => bag.read(slot);
    const fault = lookupFailed(name);
    return (bag) => bag.read(slot) ?? fault;
  }

  #call(node: Call, soft: boolean): Run {
    const [a, b, c] = node.args;
    switch (node.name) {
      case "LAND":
        return and(this.compile(a!, false), this.compile(b!, false));
      case "LOR":
        return or(this.compile(a!, false), this.compile(b!, false));
      case "NOT":
        return not(this.compile(a!, false));
      case "OR":
        return first(this.compile(a!, true), this.compile(b!, soft));
      case "INDEX":
        return index(this.compile(a!, soft), this.compile(b!, soft), soft);
      case "conditional":
        return either(this.compile(a!, false), this.compile(b!, false), this.compile(c!, false));
      case "IN":
        return this.#in(node);
      case "SUB":
        return this.#negate(node);
      default:
        return this.#two(node) ?? this.#function(node);
    }
  }

  #two({ name, args, offset }: Call): Run | undefined {
    if (!/^(?:EQ|NEQ|LT|LEQ|GT|GEQ|ADD)$/.test(name)) return undefined;
    const type = typeOf(args[0]!, this.#vocabulary);
    const left = this.compile(args[0]!, false);
    const right = this.compile(args[1]!, false);
    const missing = (what: string): never => {
      const kind = goKind[type] ?? "interface";
      throw new ExpressionFault(
        `internal compiler error -- ${what} for type not yet implemented: ${kind}`,
        offset,
      );
    };
    if (name === "ADD") return both(left, right, sum[type] ?? missing("Add"));
    if (name === "EQ" || name === "NEQ") {
      const equal = equality[type] ?? missing("equality");
      const run = equal === identical ? same(left, right) : both(left, right, equal);
      return name === "EQ" ? run : not(run);
    }
    const compare = order[type] ?? missing("less than");
    if (name === "LT") return both(left, right, (a, b) => compare(a, b) < 0);
    if (name === "LEQ") return both(left, right, (a, b) => compare(a, b) <= 0);
    if (name === "GT") return both(left, right, (a, b) => compare(a, b) > 0);
    return both(left, right, (a, b) => compare(a, b) >= 0);
  }

  #in({ args, offset }: Call): Run {
    const [needle, ...elements] = args;
    const type = typeOf(needle!, this.#vocabulary);
    const equal = equality[type];
    if (equal === undefined) throw new ExpressionFault(`in for type ${type}`, offset);
    const value = this.compile(needle!, false);
    return elements
      .map((element) => both(value, this.compile(element, false), equal))
      .reduceRight<Run>((rest, one) => or(one, rest), always(false));
  }

  #negate({ args, offset }: Call): Run {
    const type = typeOf(args[0]!, this.#vocabulary);
    const run = this.compile(args[0]!, false);
    if (type === "DOUBLE") return mapped(run, (value) => -(value as number));
    if (type === "INT64" || type === "DURATION")
      return mapped(run, (value) => toInt64(-BigInt(value as number | bigint)));
    throw new ExpressionFault(`unary minus for type ${type}`, offset);
  }

  #function({ name, target, args }: Call): Run {
    const { run } = standardFunctions.get(name)!;
    const nodes = target === undefined ? args : [target, ...args];
    const runs = nodes.map((node) => this.compile(node, false));
    const [one, two] = runs;
    if (name === "matches" && target!.kind === "constant") {
      const regex = compileRegex(target!.constant.value as string);
      return mapped(two!, (value) =>
        regex instanceof Fault ? regex : regex.matcher(value as string).find(),
      );
    }
    if (runs.length === 1) return mapped(one!, run as (value: Value) => Value | Fault);
    if (runs.length === 2) return both(one!, two!, run as Two);
    return (bag) => {
      const values: Value[] = [];
      for (const part of runs) {
        const value = part(bag);
        if (value === undefined || value instanceof Fault) return value;
        values.push(value);
      }
      return run(...(values as never[]));
    };
  }
}

const nothing: AttributeBag = { read: () => undefined };

function isConstant(node: Node): boolean {
  if (node.kind !== "call") return node.kind === "constant";
  return (node.target === undefined || isConstant(node.target)) && node.args.every(isConstant);
}

function always(value: Reading): Run {
  return () => value;
}

function and(left: Run, right: Run): Run {
  return (bag) => {
    const value = left(bag);
    return value === true ? right(bag) : value;
  };
}

function or(left: Run, right: Run): Run {
  return (bag) => {
    const value = left(bag);
    return value === false ? right(bag) : value;
  };
}

function not(run: Run): Run {
  return (bag) => {
    const value = run(bag);
    return typeof value === "boolean" ? !value : value;
  };
}

function first(left: Run, right: Run): Run {
  return (bag) => {
    const value = left(bag);
    return value === undefined ? right(bag) : value;
  };
}

function either(condition: Run, yes: Run, no: Run): Run {
  return (bag) => {
    const value = condition(bag);
    return value === true ? yes(bag) : value === false ? no(bag) : value;
  };
}

function index(map: Run, key: Run, soft: boolean): Run {
  return (bag) => {
    const from = map(bag);
    if (from === undefined || from instanceof Fault) return from;
    const name = key(bag);
    if (name === undefined || name instanceof Fault) return name;
    const value = (from as StringMap).get(name as string);
    return value === undefined && !soft ? "" : value;
  };
}

function mapped(run: Run, map: (value: Value) => Value | Fault): Run {
  return (bag) => {
    const value = run(bag);
    return value === undefined || value instanceof Fault ? value : map(value);
  };
}

function same(left: Run, right: Run): Run {
  return (bag) => {
    const a = left(bag);
    if (a instanceof Fault) return a;
    const b = right(bag);
    return b instanceof Fault ? b : a === b;
  };
}

function both(left: Run, right: Run, join: Two): Run {
  return (bag) => {
    const a = left(bag);
    if (a instanceof Fault) return a;
    const b = right(bag);
    return b instanceof Fault ? b : join(a as never, b as never);
  };
}
