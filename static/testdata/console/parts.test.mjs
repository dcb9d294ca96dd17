import assert from "node:assert/strict";
import { test } from "node:test";
import { comesBack, endingOf, refusalOf, retryDelay } from "../../console/endings.js";
import { Heartbeat } from "../../console/heartbeat.js";
import { chord, sendChord } from "../../console/keys.js";
import { step } from "../../console/menus.js";
import { missingText } from "../../console/paste.js";
import { summary } from "../../console/people.js";
import { screenshotName } from "../../console/picture.js";
import { keepSettings, layoutOfLanguage, readSettings } from "../../console/settings.js";
import { difference } from "../../console/touch.js";
import { sendText } from "../../console/typist.js";

test("the first tries are at once, later ones wait, never in step", () => {
  assert.ok(retryDelay(1, () => 1) <= 40);
  assert.equal(retryDelay(1, () => 0), 20);
  assert.ok(retryDelay(2, () => 1) <= 60);
  assert.ok(retryDelay(3, () => 1) <= 120);
  assert.equal(retryDelay(4, () => 1), 400);
  assert.ok(retryDelay(50, () => 1) <= 10_000);
  assert.notEqual(retryDelay(6, () => 0), retryDelay(6, () => 1));
});

test("what comes back is retried, what doesn't says so with who", () => {
  for (const code of [1001, 1006, 1011, 1012, 4401, 4423, 4502, 4503]) assert.ok(comesBack(code), `${code}`);
  for (const code of [4403, 4404, 4408, 4409, 4410, 4429, 1008]) assert.ok(!comesBack(code), `${code}`);
  assert.equal(endingOf(4408, { by: "Uma" }).title, "Uma took over this console");
  assert.deepEqual(endingOf(4408).offers, ["watch", "take-over", "machine"]);
  assert.equal(endingOf(4410, { by: "Ada" }).title, "Ada closed this console");
  assert.deepEqual(refusalOf(401).offers, ["sign-in"]);
  assert.equal(refusalOf(403, "The org is suspended.").text, "The org is suspended.");
  // An org that is suspended has no page to go back to.
  assert.deepEqual(refusalOf(403, "It is suspended.", "org_suspended").offers, ["reconnect", "orgs"]);
  for (const status of [undefined, 0, 500, 502, 503]) assert.equal(refusalOf(status), null);
});

// A clock that is turned by hand.
function heart() {
  let at = 1000;
  let asleep = 0;
  let runs = false;
  const told = { pings: [], latency: [], silent: 0 };
  const beat = new Heartbeat(
    { ping: (n) => told.pings.push(n), latency: (ms) => told.latency.push(ms), silent: () => told.silent++ },
    { now: () => at, wall: () => at + asleep, every: () => { runs = true; return 1; }, stop: () => { runs = false; } },
  );
  const pass = (ms, by = 500) => {
    for (const end = at + ms; at < end;) {
      at += Math.min(by, end - at);
      if (runs) beat.tick();
    }
  };
  return { beat, told, pass, wait: (ms) => { at += ms; }, sleep: (ms) => { asleep += ms; } };
}

test("latency is the way there and back", () => {
  const { beat, told, wait } = heart();
  beat.start();
  wait(12);
  beat.pong(told.pings.at(-1));
  beat.pong(told.pings.at(-1)); // twice is none
  beat.pong(99);
  assert.deepEqual(told.latency, [12]);
});

test("a silent connection is lost, a quiet one is not", () => {
  const { beat, told, pass } = heart();
  beat.start();
  beat.pong(1);
  for (let i = 0; i < 10; i++) {
    pass(4000);
    beat.pong(told.pings.at(-1));
  }
  assert.equal(told.silent, 0);
  pass(4500);
  assert.equal(told.silent, 0, "not before its patience is over");
  pass(7000);
  assert.equal(told.silent, 1);
});

test("what comes in place of a pong is a sign of life", () => {
  const { beat, told, pass } = heart();
  beat.start();
  beat.pong(1);
  pass(4500);
  for (let i = 0; i < 10; i++) {
    pass(3000);
    beat.heard();
  }
  assert.equal(told.silent, 0);
});

test("a laptop that slept asks at once, and doesn't wait long", () => {
  const { beat, told, pass, wait } = heart();
  beat.start();
  beat.pong(1);
  wait(3_600_000);
  beat.tick();
  assert.equal(told.pings.length, 2);
  pass(2100);
  assert.equal(told.silent, 1);
});

test("a clock that stands still while the laptop sleeps hides nothing", () => {
  const { beat, told, pass, sleep } = heart();
  beat.start();
  beat.pong(1);
  sleep(3_600_000);
  pass(500);
  assert.equal(told.pings.length, 2);
  pass(2100);
  assert.equal(told.silent, 1);
});

test("a portal that knows no pings is not called silent", () => {
  const { beat, told, pass } = heart();
  beat.start();
  pass(60_000);
  assert.equal(told.silent, 0);
});

const typed = async (count, perSecond, ready = () => "yes", abortAt = Infinity) => {
  let at = 0;
  const written = [];
  const signal = { get aborted() { return at >= abortAt; } };
  const done = await sendText({
    chars: Array.from({ length: count }, (_, i) => i), perSecond, signal, ready: () => ready(at, written.length), progress: () => {},
    write: () => written.push(at), now: () => at, pause: async (ms) => { at += ms; },
  });
  return { done, written, at };
};

test("typing keeps its rate", async () => {
  const { done, written, at } = await typed(400, 40);
  assert.equal(done, 400);
  assert.ok(Math.abs(at - 10_000) < 300, `${at} ms`);
  for (const from of written) assert.ok(written.filter((t) => t >= from && t < from + 1000).length <= 46);
});

test("typing that can't go on waits, and makes no burst of it", async () => {
  const { written } = await typed(200, 40, (at) => (at > 500 && at < 3000 ? "wait" : "yes"));
  assert.ok(!written.some((t) => t > 500 && t < 3000));
  assert.ok(written.filter((t) => t >= 3000 && t < 3100).length <= 10);
});

test("typing ends when stopped, or when the picture is gone", async () => {
  assert.ok((await typed(400, 40, () => "yes", 1000)).done < 50);
  assert.equal((await typed(400, 40, (_, n) => (n >= 3 ? "no" : "yes"))).done, 3);
});

test("chords are pressed in order and let go in reverse", () => {
  assert.deepEqual(chord("ctrl-alt-f2").map((k) => k.code), ["ControlLeft", "AltLeft", "F2"]);
  assert.deepEqual(chord("sysrq-b").map((k) => k.code), ["AltLeft", "PrintScreen", "KeyB"]);
  assert.deepEqual(chord("ctrl-nonsense"), []);
  const sent = [];
  sendChord("alt-tab", (_, code, down) => sent.push(`${down ? "+" : "-"}${code}`));
  assert.deepEqual(sent, ["+AltLeft", "+Tab", "-Tab", "-AltLeft"]);
});

test("menus are walked in a ring", () => {
  const keys = ["ArrowUp", "ArrowDown"];
  assert.equal(step("ArrowDown", 2, 3, keys), 0);
  assert.equal(step("ArrowUp", 0, 3, keys), 2);
  assert.equal(step("End", 0, 3, keys), 2);
  assert.equal(step("a", 0, 3, keys), -1);
});

test("a phone's corrections become deletions", () => {
  assert.deepEqual(difference("teh ", "the "), { erase: 3, add: ["h", "e", " "] });
  assert.deepEqual(difference("ab", "abc"), { erase: 0, add: ["c"] });
  assert.deepEqual(difference("ab", "a"), { erase: 1, add: [] });
});

test("what can't be typed is named", () => {
  assert.equal(missingText(new Map([["あ", 2], ["\u00a0", 1]])), "It has no “あ” ×2, no-break space. They would be left out.");
  assert.match(missingText(new Map(Array.from({ length: 15 }, (_, i) => [String.fromCodePoint(0x4e00 + i), 1]))), / and 3 more\./);
});

test("the bar says who is here", () => {
  const you = { name: "Uma", mode: "operate", you: true };
  assert.equal(summary([you]), "Only you have this console open");
  assert.equal(summary([you, { name: "Ada", mode: "view" }]), "Ada watches");
});

test("only what is known is remembered", () => {
  const kept = new Map();
  const storage = { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v) };
  assert.equal(readSettings(storage).scaling, "fit");
  keepSettings(storage, { ...readSettings(storage), scaling: "drag", layout: "de" });
  assert.equal(readSettings(storage).scaling, "drag");
  kept.set("mw.console", '{"scaling":"<b>","quality":7}');
  assert.deepEqual([readSettings(storage).scaling, readSettings(storage).quality], ["fit", "balanced"]);
  kept.set("mw.console", "{");
  assert.equal(readSettings(storage).scaling, "fit");
  assert.equal(readSettings({ getItem() { throw new Error("forbidden"); } }).scaling, "fit");
});

test("the layout is guessed from the browser's language", () => {
  for (const [tag, want] of [["en-US", "us"], ["en-GB", "uk"], ["de-CH", "de-ch"], ["de-AT", "de"], ["fr-CA", "fr"], ["es-MX", "es"], ["ja", "us"]]) {
    assert.equal(layoutOfLanguage(tag), want);
  }
});

test("a screenshot is named by machine and time", () => {
  assert.equal(screenshotName("web-1", new Date(2026, 0, 2, 3, 4, 5)), "web-1-20260102-030405.png");
});
