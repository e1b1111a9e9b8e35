/** What is held against a peer that did not answer in HTTP/2, and for how long. */
import { expect, test } from "bun:test";
import { PeerProtocol } from "./peer-protocol.ts";

const MINUTE = 60_000;

test("nothing is held against a peer that was not tried", () => {
  const peer = new PeerProtocol();
  expect([peer.lacksHttp2(0), peer.answersOtherwise(0)]).toEqual([false, false]);
});

test("an answer that is not HTTP/2 counts for a minute, silence for five seconds", () => {
  const answers = new PeerProtocol();
  answers.refused(true, 1_000);
  const mute = new PeerProtocol();
  mute.refused(false, 1_000);
  expect([answers.lacksHttp2(60_999), answers.lacksHttp2(61_000)]).toEqual([true, false]);
  expect([mute.lacksHttp2(5_999), mute.lacksHttp2(6_000)]).toEqual([true, false]);
  expect([answers.answersOtherwise(1_000), mute.answersOtherwise(1_000)]).toEqual([true, false]);
});

test("each time that it is learnt again it counts for twice as long, ten minutes at most", () => {
  const peer = new PeerProtocol();
  let now = 0;
  const held: number[] = [];
  for (let i = 0; i < 6; i++) {
    peer.refused(true, now);
    const since = now;
    while (peer.lacksHttp2(now)) now += 1_000;
    held.push((now - since) / MINUTE);
  }
  expect(held).toEqual([1, 2, 4, 8, 10, 10]);
});

test("SETTINGS, or nobody listening, make it unknown again", () => {
  const peer = new PeerProtocol();
  peer.refused(true, 0);
  peer.refused(true, MINUTE);
  peer.forget();
  expect(peer.lacksHttp2(MINUTE)).toBe(false);
  peer.refused(true, MINUTE);
  expect(peer.lacksHttp2(2 * MINUTE)).toBe(false);
});
