/** Deadlines as the data plane uses them, on a clock that moves by hand. */
import { expect, test } from "bun:test";
import { seededRandom } from "../core/random.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { Timer, TimerWheel } from "./timer-wheel.ts";

class Noted extends Timer {
  expiredAtMs: number[] = [];
  onExpire: () => void = () => {};
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock) {
    super();
    this.#clock = clock;
  }

  expire(): void {
    this.expiredAtMs.push(this.#clock.nowMs());
    this.onExpire();
  }
}

function setUp(tickMs = 10) {
  const clock = new VirtualClock();
  const wheel = new TimerWheel(clock, tickMs);
  return { clock, wheel, timer: () => new Noted(clock) };
}

test("a timer expires once, never early and at most a tick late, from 1 ms to 3 days", () => {
  for (const ms of [
    1, 9, 10, 11, 255, 2_549, 2_560, 2_561, 15_000, 655_360, 3_600_000, 259_200_000,
  ]) {
    const { clock, wheel, timer } = setUp();
    clock.advance(1_234.5);
    const one = timer();
    wheel.arm(one, ms);
    clock.advance(ms - 0.001);
    expect(one.expiredAtMs).toEqual([]);
    clock.advance(10.002);
    expect(one.expiredAtMs.length).toBe(1);
    clock.advance(ms * 2);
    expect(one.expiredAtMs.length).toBe(1);
    expect(one.armed).toBe(false);
    expect(clock.waiting).toBe(0);
  }
});

test("a limit that is pushed back by each request expires after the last one only", () => {
  const { clock, wheel, timer } = setUp();
  const idle = timer();
  for (let request = 0; request < 1_000; request++) {
    wheel.arm(idle, 60_000);
    clock.advance(100);
  }
  expect(idle.expiredAtMs).toEqual([]);
  clock.advance(60_000);
  expect(idle.expiredAtMs).toEqual([999 * 100 + 60_000]);
});

test("a deadline can move earlier, also far earlier", () => {
  const { clock, wheel, timer } = setUp();
  const one = timer();
  wheel.arm(one, 3_600_000);
  wheel.arm(one, 5_000);
  wheel.arm(one, 50);
  clock.advance(60);
  expect(one.expiredAtMs).toEqual([50]);
});

test("a disarmed or released timer does not expire; an empty wheel leaves nothing running", () => {
  const { clock, wheel, timer } = setUp();
  const [disarmed, released, rearmed] = [timer(), timer(), timer()];
  for (const each of [disarmed, released, rearmed]) wheel.arm(each, 1_000);
  wheel.disarm(disarmed);
  wheel.release(released);
  wheel.disarm(rearmed);
  wheel.arm(rearmed, 2_000);
  expect(wheel.linked).toBe(2);
  clock.advance(5_000);
  expect([disarmed, released, rearmed].map((each) => each.expiredAtMs)).toEqual([[], [], [2_000]]);
  expect(wheel.linked).toBe(0);
  expect(clock.waiting).toBe(0);
});

test("what expires may arm itself again, arm others and release its neighbours", () => {
  const { clock, wheel, timer } = setUp();
  const [periodic, victim, chained] = [timer(), timer(), timer()];
  periodic.onExpire = () => {
    wheel.release(victim);
    if (periodic.expiredAtMs.length < 3) wheel.arm(periodic, 100);
    else wheel.arm(chained, 0);
  };
  wheel.arm(victim, 100); // armed first, so the list holds periodic before it
  wheel.arm(periodic, 100);
  clock.advance(1_000);
  expect(periodic.expiredAtMs).toEqual([100, 200, 300]);
  expect(victim.expiredAtMs).toEqual([]);
  expect(chained.expiredAtMs).toEqual([310]);
});

test("after a stalled loop everything overdue expires, and what is not due stays", () => {
  const { clock, wheel, timer } = setUp();
  const [soon, later, far] = [timer(), timer(), timer()];
  wheel.arm(soon, 100);
  wheel.arm(later, 9_000);
  wheel.arm(far, 30_000);
  clock.stall(20_000);
  clock.advance(0);
  expect([soon, later, far].map((each) => each.expiredAtMs.length)).toEqual([1, 1, 0]);
  clock.advance(10_000);
  expect(far.expiredAtMs).toEqual([30_000]);
});

test("a timer armed after a stall does not push the overdue ones out of sight", () => {
  const { clock, wheel, timer } = setUp();
  const overdue = timer();
  wheel.arm(overdue, 100);
  clock.stall(5_000);
  wheel.arm(timer(), 60_000);
  clock.advance(10);
  expect(overdue.expiredAtMs.length).toBe(1);
});

test("a timer one whole turn of a level away is found by the wake before it", () => {
  const { clock, wheel, timer } = setUp();
  clock.advance(2_545);
  const [turn, soon] = [timer(), timer()];
  wheel.arm(turn, 655_340);
  wheel.arm(soon, 5);
  clock.advance(700_000);
  expect([turn, soon].map((each) => each.expiredAtMs)).toEqual([[657_890], [2_550]]);
});

test("the wheel does not tick while its timers are far away", () => {
  const clock = new VirtualClock();
  let wakes = 0;
  const counting = {
    nowMs: () => clock.nowMs(),
    wallMs: () => clock.wallMs(),
    after: (ms: number, callback: () => void) =>
      clock.after(ms, () => {
        wakes++;
        callback();
      }),
  };
  const wheel = new TimerWheel(counting);
  wheel.arm(new Noted(clock), 3_600_000);
  clock.advance(3_600_010);
  expect(wheel.linked).toBe(0);
  expect(wakes).toBeLessThan(5);
});

test("a timer armed while the wheel sleeps towards a far one is on time", () => {
  const { clock, wheel, timer } = setUp();
  wheel.arm(timer(), 600_000);
  for (const after of [50_005, 100_015, 200_025]) {
    clock.advance(after);
    const one = timer();
    const dueMs = clock.nowMs() + 30;
    wheel.arm(one, 30);
    clock.advance(40);
    expect(one.expiredAtMs[0]! - dueMs).toBeWithin(0, 10.01);
  }
});

test("ten thousand random operations expire exactly what a list would", () => {
  const seed = 20_261;
  const random = seededRandom(seed);
  const { clock, wheel, timer } = setUp();
  const timers = Array.from({ length: 200 }, timer);
  const deadlines = new Map<Noted, number>();
  for (let step = 0; step < 10_000; step++) {
    const one = timers[Math.floor(random() * timers.length)]!;
    const choice = random();
    if (choice < 0.6) {
      const ms = random() ** 4 * 800_000;
      wheel.arm(one, ms);
      deadlines.set(one, clock.nowMs() + ms);
    } else if (choice < 0.7) {
      wheel.disarm(one);
      deadlines.delete(one);
    } else if (choice < 0.75) {
      wheel.release(one);
      deadlines.delete(one);
    } else {
      clock.advance(random() ** 3 * 20_000);
      for (const each of timers) {
        for (const atMs of each.expiredAtMs.splice(0)) {
          const dueMs = deadlines.get(each);
          if (dueMs === undefined) throw new Error(`seed ${seed} step ${step}: not armed`);
          expect(atMs - dueMs).toBeWithin(0, 10.01);
          deadlines.delete(each);
        }
      }
      for (const [, dueMs] of deadlines) expect(dueMs).toBeGreaterThan(clock.nowMs() - 10.01);
    }
  }
});
