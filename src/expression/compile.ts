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
import type { Attribute } from "../attribute/vocabulary.ts";
import type { TypedCall, TypedNode } from "./check.ts";
import { ExpressionFault } from "./lexer.ts";
import { dnsNamesEqual, emailsEqual, urisEqual } from "./name.ts";
import { compileGlob, compileRegex, standardFunctions } from "./standard-function.ts";

/** Undefined only where the caller asked for it: `soft`. */
export type Run = (bag: AttributeBag) => Reading;
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

/** Operators whose chains run as one loop. */
const chained = new Set(["LAND", "LOR", "OR", "ADD"]);

export class Compiler {
  /** Slots that the expression may read. */
  readonly slots = new Set<number>();

  /** Throws an ExpressionFault. */
  compile(node: TypedNode, soft: boolean): Run {
    if (node.kind === "constant") return always(node.value);
    if (node.kind === "attribute") return this.#attribute(node.attribute, soft);
    const run = this.#call(node, soft);
    return node.isConstant ? always(run(nothing)) : run;
  }

  #attribute({ name, slot }: Attribute, soft: boolean): Run {
    this.slots.add(slot);
    if (soft) return (bag) => bag.read(slot);
    const fault = lookupFailed(name);
    return (bag) => bag.read(slot) ?? fault;
  }

  #call(node: TypedCall, soft: boolean): Run {
    if (chained.has(node.name)) return this.#chain(node, soft);
    const [a, b, c] = node.args;
    switch (node.name) {
      case "NOT":
        return not(this.compile(a!, false));
      case "INDEX":
        if (b!.kind === "constant") return entry(this.compile(a!, soft), b!.value as string, soft);
        return index(this.compile(a!, soft), this.compile(b!, soft), soft);
      case "conditional":
        return either(this.compile(a!, false), this.compile(b!, false), this.compile(c!, false));
      case "IN":
        return this.#in(node);
      case "SUB":
        return this.#negate(node);
      default:
        return this.#comparison(node) ?? this.#function(node);
    }
  }

  /** `a && b && c` is ((a && b) && c): its left sides are followed down, not called down. */
  #chain({ name, type, args, offset }: TypedCall, soft: boolean): Run {
    const nodes = [args[1]!];
    let left = args[0]!;
    for (; left.kind === "call" && left.name === name; left = left.args[0]!)
      nodes.push(left.args[1]!);
    nodes.push(left);
    nodes.reverse();
    if (name === "OR") return this.#first(nodes, soft);
    const runs = nodes.map((node) => this.compile(node, false));
    if (name === "LAND") return all(runs);
    if (name === "LOR") return any(runs);
    return total(runs, sum[type] ?? missing("Add", type, offset));
  }

  #first(nodes: readonly TypedNode[], soft: boolean): Run {
    const [left, right] = nodes as [TypedNode, TypedNode];
    if (nodes.length === 2 && left.kind === "attribute" && right.kind === "constant") {
      this.slots.add(left.attribute.slot);
      return attributeOr(left.attribute.slot, right.value);
    }
    return first(nodes.map((node, i) => this.compile(node, soft || i < nodes.length - 1)));
  }

  #comparison({ name, args, offset }: TypedCall): Run | undefined {
    if (!/^(?:EQ|NEQ|LT|LEQ|GT|GEQ)$/.test(name)) return undefined;
    const { type } = args[0]!;
    const left = this.compile(args[0]!, false);
    const right = this.compile(args[1]!, false);
    if (name === "EQ" || name === "NEQ") {
      const equal = equality[type] ?? missing("equality", type, offset);
      const run = equal === identical ? same(left, right, args[1]!) : both(left, right, equal);
      return name === "EQ" ? run : not(run);
    }
    const compare = order[type] ?? missing("less than", type, offset);
    if (name === "LT") return both(left, right, (a, b) => compare(a, b) < 0);
    if (name === "LEQ") return both(left, right, (a, b) => compare(a, b) <= 0);
    if (name === "GT") return both(left, right, (a, b) => compare(a, b) > 0);
    return both(left, right, (a, b) => compare(a, b) >= 0);
  }

  #in({ args, offset }: TypedCall): Run {
    const [needle, ...elements] = args;
    const { type } = needle!;
    const equal = equality[type];
    if (equal === undefined) throw new ExpressionFault(`in for type ${type}`, offset);
    const value = this.compile(needle!, false);
    const runs = elements.map((element) => this.compile(element, false));
    const known = runs.map((run, i) => (elements[i]!.isConstant ? run(nothing) : undefined));
    if (equal === identical && known.every((one) => one !== undefined && !(one instanceof Fault))) {
      const set = new Set(known);
      return mapped(value, (one) => set.has(one));
    }
    return anyOf(value, runs, equal);
  }

  #negate({ args, offset }: TypedCall): Run {
    const { type } = args[0]!;
    const run = this.compile(args[0]!, false);
    if (type === "DOUBLE") return mapped(run, (value) => -(value as number));
    if (type === "INT64" || type === "DURATION")
      return mapped(run, (value) => toInt64(-BigInt(value as number | bigint)));
    throw new ExpressionFault(`unary minus for type ${type}`, offset);
  }

  #function({ name, target, args }: TypedCall): Run {
    const { run } = standardFunctions.get(name)!;
    const nodes = target === undefined ? args : [target, ...args];
    const runs = nodes.map((node) => this.compile(node, false));
    const [one, two] = runs;
    if (name === "matches" && target!.kind === "constant") {
      const regex = compileRegex(target!.value as string);
      return mapped(two!, (value) =>
        regex instanceof Fault ? regex : regex.matcher(value as string).find(),
      );
    }
    if (name === "match" && nodes[1]!.kind === "constant")
      return mapped(one!, compileGlob(nodes[1]!.value as string));
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

function missing(what: string, type: ValueType, offset: number): never {
  const kind = goKind[type] ?? "interface";
  throw new ExpressionFault(
    `internal compiler error -- ${what} for type not yet implemented: ${kind}`,
    offset,
  );
}

function always(value: Reading): Run {
  return () => value;
}

function all(runs: readonly Run[]): Run {
  const [left, right] = runs as [Run, Run];
  if (runs.length > 2)
    return (bag) => {
      let value: Reading = true;
      for (let i = 0; value === true && i < runs.length; i++) value = runs[i]!(bag);
      return value;
    };
  return (bag) => {
    const value = left(bag);
    return value === true ? right(bag) : value;
  };
}

function any(runs: readonly Run[]): Run {
  const [left, right] = runs as [Run, Run];
  if (runs.length > 2)
    return (bag) => {
      let value: Reading = false;
      for (let i = 0; value === false && i < runs.length; i++) value = runs[i]!(bag);
      return value;
    };
  return (bag) => {
    const value = left(bag);
    return value === false ? right(bag) : value;
  };
}

function first(runs: readonly Run[]): Run {
  const [left, right] = runs as [Run, Run];
  if (runs.length > 2)
    return (bag) => {
      let value: Reading;
      for (let i = 0; value === undefined && i < runs.length; i++) value = runs[i]!(bag);
      return value;
    };
  return (bag) => {
    const value = left(bag);
    return value === undefined ? right(bag) : value;
  };
}

/** `a | 5`, as most dimensions are. */
function attributeOr(slot: number, otherwise: Value): Run {
  return (bag) => {
    const value = bag.read(slot);
    return value === undefined ? otherwise : value;
  };
}

function total(runs: readonly Run[], add: Two): Run {
  const [left, right] = runs as [Run, Run];
  if (runs.length === 2) return both(left, right, add);
  return (bag) => {
    let value = left(bag);
    for (let i = 1; !(value instanceof Fault) && i < runs.length; i++) {
      const next = runs[i]!(bag);
      value = next instanceof Fault ? next : add(value as never, next as never);
    }
    return value;
  };
}

/** Stops at the first that is equal; and at one before it that has no value. */
function anyOf(needle: Run, runs: readonly Run[], equal: Two): Run {
  return (bag) => {
    const value = needle(bag);
    if (value instanceof Fault) return value;
    let found: Value | Fault = false;
    for (let i = 0; found === false && i < runs.length; i++) {
      const one = runs[i]!(bag);
      found = one instanceof Fault ? one : equal(value as never, one as never);
    }
    return found;
  };
}

function not(run: Run): Run {
  return (bag) => {
    const value = run(bag);
    return typeof value === "boolean" ? !value : value;
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

/** `index` by a key that is known. */
function entry(map: Run, name: string, soft: boolean): Run {
  return (bag) => {
    const from = map(bag);
    if (from === undefined || from instanceof Fault) return from;
    const value = (from as StringMap).get(name);
    return value === undefined && !soft ? "" : value;
  };
}

function mapped(run: Run, map: (value: Value) => Value | Fault): Run {
  return (bag) => {
    const value = run(bag);
    return value === undefined || value instanceof Fault ? value : map(value);
  };
}

function same(left: Run, right: Run, known: TypedNode): Run {
  if (known.kind === "constant") {
    const { value } = known;
    return (bag) => {
      const a = left(bag);
      return a instanceof Fault ? a : a === value;
    };
  }
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
