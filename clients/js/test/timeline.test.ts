import { describe, expect, test, vi } from "vitest";
import { type Entry, type MessageEntry, Timeline } from "../src/timeline.ts";
import { DoubleRoom, failure } from "./double.ts";

/** How a list would look: `text`, `text*` edited, `(text)` on its way, `!text` failed, `?text` unknown, `-` deleted, `~~` a gap, `##` a lost one. */
function look(timeline: Timeline): string {
  return timeline.value.entries.map(draw).join(" ");
}

function draw(entry: Entry): string {
  if (entry.kind === "gap") return { open: "~~", loading: "~…~", lost: "##" }[entry.state];
  if (entry.deleted) return entry.data === undefined ? "-" : "a deleted entry has data";
  const text = `${String(entry.data)}${entry.edited ? "*" : ""}${entry.reactions.map(({ key, users }) => `[${key}:${users.join()}]`).join("")}`;
  return { sent: text, sending: `(${text})`, failed: `!${text}`, unknown: `?${text}` }[entry.state];
}

function messages(timeline: Timeline): MessageEntry[] {
  return timeline.value.entries.filter((entry) => entry.kind === "message");
}

/** A room with `count` messages in its log, of which the last `recent` are replayed. */
function begun(count: number, recent = count): { room: DoubleRoom; timeline: Timeline } {
  const room = new DoubleRoom();
  for (let n = 1; n <= count; n++) room.write({ type: "message", data: `${n}` });
  const timeline = new Timeline(room, { user: "me" });
  room.joined(recent);
  return { room, timeline };
}

/** A room with one message in its log, and another that is confirmed and has not come. */
async function confirmed(): Promise<{ room: DoubleRoom; timeline: Timeline }> {
  const { room, timeline } = begun(1);
  timeline.send("mine");
  room.sent[0]!.ok({ epoch: "a.0", seq: 2 });
  await vi.waitFor(() => expect(messages(timeline)[1]!.position).toBeDefined());
  return { room, timeline };
}

describe("a log", () => {
  test("is shown in order, and as far back as it was replayed", () => {
    const { room, timeline } = begun(5, 3);
    room.say("6");
    expect(look(timeline)).toBe("3 4 5 6");
    expect(timeline.value.older).toBe("more");
  });

  test("that is not joined yet is loading; one that is empty, or can't be had, has nothing older", () => {
    const room = new DoubleRoom();
    const timeline = new Timeline(room);
    expect(timeline.value).toEqual({ entries: [], older: "loading" });
    room.joined();
    expect(timeline.value.older).toBe("none");

    const refused = new DoubleRoom();
    const other = new Timeline(refused);
    refused.status.set({ state: "left", error: failure("forbidden") });
    expect(other.value.older).toBe("none");
  });

  test("of a room that was joined long ago begins where the room stands", async () => {
    const { room } = begun(3);
    const late = new Timeline(room);
    expect(look(late)).toBe("");
    room.say("4");
    await late.loadOlder();
    expect(look(late)).toBe("1 2 3 4");
    expect(late.value.older).toBe("none");
  });

  test("is loaded upward page by page, once at a time", async () => {
    const { room, timeline } = begun(10, 2);
    const first = timeline.loadOlder(3);
    const second = timeline.loadOlder(3);
    expect(timeline.value.older).toBe("loading");
    await Promise.all([first, second]);
    expect(look(timeline)).toBe("6 7 8 9 10");
    await timeline.loadOlder(200);
    expect(look(timeline)).toBe("1 2 3 4 5 6 7 8 9 10");
    expect(timeline.value.older).toBe("none");
    await timeline.loadOlder();
    expect(room.asked).toBe(2);
  });

  test("whose page can't be had says so, and may be asked again", async () => {
    const { room, timeline } = begun(4, 1);
    room.refusal = failure("unavailable");
    await timeline.loadOlder();
    expect(timeline.value).toMatchObject({ older: "more", error: { code: "unavailable" } });
    room.refusal = undefined;
    await timeline.loadOlder();
    expect(look(timeline)).toBe("1 2 3 4");
    expect(timeline.value.error).toBeUndefined();
  });
});

describe("what is done to messages", () => {
  test("is put together: the last edit counts, a reaction is one for each user and key", () => {
    const { room, timeline } = begun(2);
    const [one, two] = room.log;
    room.tell(room.write({ type: "edit", target: one!, data: "1a" }));
    room.tell(room.write({ type: "edit", target: one!, data: "1b" }));
    for (const user of ["bob", "carol", "bob"]) room.tell(room.write({ type: "reaction", target: two!, key: "+", on: true }, user));
    room.tell(room.write({ type: "reaction", target: two!, key: "-", on: true }, "bob"));
    room.tell(room.write({ type: "reaction", target: two!, key: "-", on: false }, "bob"));
    expect(look(timeline)).toBe("1b* 2[+:bob,carol]");
  });

  test("takes the place of what the same user did before, so that changing one's mind a thousand times costs nothing", () => {
    const { room, timeline } = begun(2);
    const two = room.log[1]!;
    for (let n = 0; n < 1_000; n++) room.tell(room.write({ type: "reaction", target: two, key: "+", on: n % 2 === 0 }, "bob"));
    room.tell(room.write({ type: "reaction", target: two, key: "+", on: true }, "carol"));
    expect(look(timeline)).toBe("1 2[+:carol]");
    // A fork takes back the last of them; what was before it is not known here, and is asked for.
    room.log = room.log.slice(0, 1_001);
    room.seq = 1_001;
    room.reset("forked", 1_001, "a.1");
    expect(look(timeline)).toBe("1 ~~");
  });

  test("is kept until its message is loaded, and a later edit is not undone by an earlier page", async () => {
    const room = new DoubleRoom();
    const one = room.write({ type: "message", data: "1" });
    room.write({ type: "edit", target: one, data: "1a" });
    room.write({ type: "reaction", target: one, key: "+", on: true }, "bob");
    room.write({ type: "message", data: "2" });
    const timeline = new Timeline(room);
    room.joined(1);
    room.tell(room.write({ type: "edit", target: one, data: "1b" }));
    expect(look(timeline)).toBe("2");
    // The first page has only what was done to others: it goes on until there is something to show.
    await timeline.loadOlder(2);
    expect(look(timeline)).toBe("1b*[+:bob] 2");
  });

  test("a deletion drops the text, of the message, of its edits, and of a message that is loaded later", async () => {
    const { room, timeline } = begun(3, 2);
    room.tell(room.write({ type: "edit", target: room.log[1]!, data: "2a" }));
    room.tell(room.write({ type: "reaction", target: room.log[1]!, key: "+", on: true }));
    room.tell(room.write({ type: "delete", target: room.log[1]! }));
    room.tell(room.write({ type: "delete", target: room.log[0]! }));
    expect(look(timeline)).toBe("- 3");
    await timeline.loadOlder();
    expect(look(timeline)).toBe("- - 3");
    expect(JSON.stringify(timeline.value)).not.toContain('"1"');
  });

  test("a tombstone is a deleted message", () => {
    const { room, timeline } = begun(0);
    const event = room.write({ type: "message", data: "x" });
    if (event.type !== "message") throw new Error("no message");
    const { data: _, ...rest } = event;
    room.tell({ ...rest, deleted: true as const });
    expect(look(timeline)).toBe("-");
  });
});

describe("sending", () => {
  test("shows a message at once, and confirms it in place by its event", async () => {
    const { room, timeline } = begun(1);
    const key = timeline.send("hello");
    expect(look(timeline)).toBe("1 (hello)");
    expect(messages(timeline)[1]).toMatchObject({ key, from: "me" });
    const { id, ok } = room.sent[0]!;
    const event = room.say("hello", "me", id);
    expect(look(timeline)).toBe("1 hello");
    ok(event);
    await settled();
    expect(look(timeline)).toBe("1 hello");
    expect(messages(timeline)[1]).toMatchObject({ key, position: { epoch: "a.0", seq: 2 }, state: "sent" });
  });

  test("is confirmed by its ok, and not doubled by the event that follows", async () => {
    const { room, timeline } = begun(0);
    const key = timeline.send("hello");
    room.sent[0]!.ok({ epoch: "a.0", seq: 2 });
    await vi.waitFor(() => expect(messages(timeline)[0]).toMatchObject({ state: "sent", position: { seq: 2 } }));
    room.say("before", "bob");
    expect(look(timeline)).toBe("before hello");
    room.say("hello", "me", room.sent[0]!.id);
    room.say("behind", "bob");
    expect(look(timeline)).toBe("before hello behind");
    expect(messages(timeline)[1]!.key).toBe(key);
  });

  test("is not confirmed by another user's message of the same id", () => {
    const { room, timeline } = begun(0);
    timeline.send("hello");
    room.say("mimic", "mallory", room.sent[0]!.id);
    expect(look(timeline)).toBe("mimic (hello)");
  });

  test("that fails waits for a retry, which keeps its id, or for being discarded", async () => {
    const { room, timeline } = begun(0);
    timeline.send("a");
    timeline.send("b");
    room.sent[0]!.fail("rate_limited");
    room.sent[1]!.fail("unknown");
    await vi.waitFor(() => expect(look(timeline)).toBe("!a ?b"));
    const [a, b] = messages(timeline);
    expect(a!.error).toMatchObject({ code: "rate_limited" });
    timeline.retry(a!);
    timeline.retry(a!);
    timeline.discard(b!);
    expect(look(timeline)).toBe("(a)");
    expect(messages(timeline)[0]!.error).toBeUndefined();
    expect(room.sent.map(({ id }) => id)).toEqual([a!.id, b!.id, a!.id]);
    // It was appended after all: neither lost nor doubled.
    room.say("b", "me", b!.id);
    room.say("a", "me", a!.id);
    expect(look(timeline)).toBe("b a");
  });

  test("that was unknown and is in the log all the same is sent", async () => {
    const { room, timeline } = begun(0);
    timeline.send("a");
    room.sent[0]!.fail("unknown");
    await vi.waitFor(() => expect(look(timeline)).toBe("?a"));
    room.say("a", "me", room.sent[0]!.id);
    expect(look(timeline)).toBe("a");
  });

  test("that was confirmed where nobody looked is shown where we stand, and once when the gap is filled", async () => {
    const { room, timeline } = begun(2);
    timeline.send("mine");
    room.status.set({ state: "recovering" });
    room.write({ type: "message", data: "3" });
    const mine = room.write({ type: "message", data: "mine" }, "me", room.sent[0]!.id);
    room.write({ type: "message", data: "5" });
    room.reset("unrecovered", 5);
    room.live();
    room.sent[0]!.ok(mine, true);
    await vi.waitFor(() => expect(messages(timeline)[2]!.position).toBeDefined());
    room.say("6");
    expect(look(timeline)).toBe("1 2 ~~ mine 6");
    await fill(timeline);
    expect(look(timeline)).toBe("1 2 3 mine 5 6");
  });
});

describe("a reset", () => {
  test("by trimming leaves a gap that nothing fills", async () => {
    const { room, timeline } = begun(2);
    room.seq = 10;
    room.reset("trimmed", 10);
    room.say("11");
    expect(look(timeline)).toBe("1 2 ## 11");
    await fill(timeline);
    expect(room.asked).toBe(0);
  });

  test("for want of recovery leaves a gap, which pages fill", async () => {
    const { room, timeline } = begun(2);
    for (let n = 3; n <= 8; n++) room.write({ type: "message", data: `${n}` });
    room.reset("unrecovered", 8);
    room.say("9");
    expect(look(timeline)).toBe("1 2 ~~ 9");
    await fill(timeline, 3);
    expect(look(timeline)).toBe("1 2 ~~ 6 7 8 9");
    room.refusal = failure("timeout");
    await fill(timeline, 3);
    expect(timeline.value.entries[2]).toMatchObject({ state: "open", error: { code: "timeout" } });
    room.refusal = undefined;
    await fill(timeline, 3);
    expect(look(timeline)).toBe("1 2 3 4 5 6 7 8 9");
  });

  test("into another log shows that what was before it can't be reached", async () => {
    const { room, timeline } = begun(3, 2);
    room.log = [];
    room.seq = 0;
    room.epoch = "b.0";
    for (const data of ["x", "y", "z"]) room.write({ type: "message", data });
    room.reset("unrecovered", 2, "b.0");
    room.tell(room.log[2]!);
    expect(look(timeline)).toBe("2 3 ~~ z");
    // A page of what was before would be of the other log.
    expect(timeline.value.older).toBe("none");
    await fill(timeline);
    expect(look(timeline)).toBe("2 3 ## x y z");
  });

  test("back into what is held is no gap, and the log's word counts", () => {
    const { room, timeline } = begun(5);
    // Number 5 was lost with a server while we were away, and another took its place.
    room.log.pop();
    room.seq = 4;
    room.epoch = "a.1";
    const five = room.write({ type: "message", data: "5b" });
    room.reset("unrecovered", 2, "a.1");
    for (const event of [...room.log.slice(2, 4), five]) room.tell(event);
    expect(look(timeline)).toBe("1 2 3 4 5b");
  });

  test("to another epoch of the same log is closed by a page that reaches what is held", async () => {
    const { room, timeline } = begun(5);
    room.log.pop();
    room.seq = 4;
    room.epoch = "a.1";
    room.write({ type: "message", data: "5b" });
    room.write({ type: "message", data: "6" });
    room.reset("unrecovered", 6, "a.1");
    room.say("7");
    expect(look(timeline)).toBe("1 2 3 4 5 ~~ 7");
    await fill(timeline);
    expect(look(timeline)).toBe("1 2 3 4 5b 6 7");
  });

  test("twice, with nothing between, is one gap", async () => {
    const { room, timeline } = begun(1);
    room.seq = 4;
    room.log = [];
    room.reset("trimmed", 4);
    room.write({ type: "message", data: "5" });
    room.reset("unrecovered", 5);
    expect(look(timeline)).toBe("1 ~~");
    await fill(timeline);
    expect(look(timeline)).toBe("1 ## 5");
  });

  test("by trimming, behind what might still be there, is a gap that may be filled", () => {
    const { room, timeline } = begun(1);
    room.seq = 8;
    room.reset("unrecovered", 4);
    room.reset("trimmed", 8);
    expect(look(timeline)).toBe("1 ~~");
  });

  test("to before what was seen of the same log drops the rest", () => {
    const { room, timeline } = begun(4);
    room.seq = 2;
    room.reset("unrecovered", 2);
    room.say("3b");
    expect(look(timeline)).toBe("1 2 3b");
  });

  test("by a fork drops what was after it, edits and reactions too", () => {
    const { room, timeline } = begun(2);
    room.tell(room.write({ type: "reaction", target: room.log[0]!, key: "+", on: true }, "bob"));
    room.tell(room.write({ type: "edit", target: room.log[0]!, data: "lost" }));
    room.say("lost");
    room.seq = 3;
    room.reset("forked", 3, "a.1");
    room.say("4");
    expect(look(timeline)).toBe("1[+:bob] 2 4");
  });

  test("by a fork drops what was done to messages that are not loaded yet", async () => {
    const { room, timeline } = begun(2, 1);
    room.tell(room.write({ type: "edit", target: room.log[0]!, data: "lost" }));
    room.log.pop();
    room.seq = 2;
    room.reset("forked", 2, "a.1");
    await timeline.loadOlder();
    expect(look(timeline)).toBe("1 2");
  });

  test("by a fork of another log leaves what was before the gap", () => {
    const { room, timeline } = begun(3);
    room.log = [];
    room.seq = 0;
    room.reset("unrecovered", 0, "b.0");
    room.say("x");
    room.say("lost");
    room.seq = 1;
    room.reset("forked", 1, "b.1");
    expect(look(timeline)).toBe("1 2 3 ~~ x");
  });

  test("by a fork makes a page worthless that was asked for before", async () => {
    const { room, timeline } = begun(3);
    for (let n = 4; n <= 6; n++) room.write({ type: "message", data: `${n}` });
    room.reset("unrecovered", 6);
    room.say("7");
    const filling = fill(timeline);
    room.log = room.log.slice(0, 4);
    room.seq = 4;
    room.reset("forked", 4, "a.1");
    room.say("5b");
    await filling;
    expect(look(timeline)).toBe("1 2 3 ~~ 5b");
    await fill(timeline);
    expect(look(timeline)).toBe("1 2 3 4 5b");
  });

  test("by a fork that undoes a deletion reads the text again", async () => {
    const { room, timeline } = begun(3);
    const log = [...room.log];
    room.tell(room.write({ type: "delete", target: room.log[1]! }));
    expect(look(timeline)).toBe("1 - 3");
    room.log = log;
    room.seq = 3;
    room.reset("forked", 3, "a.1");
    room.say("4");
    expect(look(timeline)).toBe("1 ~~ 4");
    await fill(timeline);
    expect(look(timeline)).toBe("1 2 3 4");
  });

  test("by a fork that lost what was confirmed and not seen yet lets it be sent again", async () => {
    const { room, timeline } = await confirmed();
    room.reset("forked", 1, "a.1");
    expect(look(timeline)).toBe("1 !mine");
    expect(messages(timeline)[1]!.position).toBeUndefined();
    timeline.retry(messages(timeline)[1]!);
    room.say("mine", "me", room.sent[1]!.id);
    expect(look(timeline)).toBe("1 mine");
  });

  test("by a fork that lost what had been seen already lets it be sent again, with the same key", async () => {
    const { room, timeline } = begun(1);
    const key = timeline.send("mine");
    room.say("mine", "me", room.sent[0]!.id);
    room.sent[0]!.ok({ epoch: "a.0", seq: 2 });
    room.say("theirs", "bob", "b1");
    // From another tab of the same user: that one sends it again.
    room.say("elsewhere", "me", "m9");
    expect(look(timeline)).toBe("1 mine theirs elsewhere");
    room.log = room.log.slice(0, 1);
    room.seq = 1;
    room.reset("forked", 1, "a.1");
    expect(look(timeline)).toBe("1 !mine");
    expect(messages(timeline)[1]).toMatchObject({ key, error: { code: "lost" } });
    timeline.retry(messages(timeline)[1]!);
    expect(room.sent[1]!.id).toBe(room.sent[0]!.id);
    room.say("mine", "me", room.sent[1]!.id);
    expect(look(timeline)).toBe("1 mine");
  });

  test("to a log of which nobody knows leaves what was confirmed and not seen in doubt", async () => {
    const { room, timeline } = await confirmed();
    room.reset("unrecovered", 9, "z.0");
    expect(look(timeline)).toBe("1 ~~ ?mine");
  });

  test("to a new log drops all but what is being sent", async () => {
    const { room, timeline } = begun(3, 1);
    timeline.send("mine");
    const loading = timeline.loadOlder();
    room.log = [];
    room.seq = 0;
    room.reset("new", 0, "b.0");
    await loading;
    expect(look(timeline)).toBe("(mine)");
    room.say("mine", "me", room.sent[0]!.id);
    expect(look(timeline)).toBe("mine");
    expect(timeline.value.older).toBe("none");
  });
});

describe("trimming", () => {
  test("forgets what is oldest, and it can be loaded again with what was done to it", async () => {
    const { room, timeline } = begun(6);
    room.tell(room.write({ type: "edit", target: room.log[0]!, data: "1a" }));
    room.tell(room.write({ type: "reaction", target: room.log[1]!, key: "+", on: true }));
    room.say("9");
    timeline.trim(3);
    expect(look(timeline)).toBe("5 6 9");
    expect(timeline.value.older).toBe("more");
    await timeline.loadOlder(3);
    expect(look(timeline)).toBe("2[+:alice] 3 4 5 6 9");
    await timeline.loadOlder();
    expect(look(timeline)).toBe("1a* 2[+:alice] 3 4 5 6 9");
    expect(timeline.value.older).toBe("none");
  });

  test("takes a gap along, and what is loading then is not put in the wrong place", async () => {
    const { room, timeline } = begun(3, 2);
    for (const data of ["4", "5"]) room.write({ type: "message", data });
    room.reset("trimmed", 5);
    room.say("6");
    room.say("7");
    const loading = timeline.loadOlder();
    timeline.trim(2);
    expect(look(timeline)).toBe("6 7");
    await loading;
    expect(look(timeline)).toBe("6 7");
    await timeline.loadOlder();
    expect(look(timeline)).toBe("1 2 3 4 5 6 7");
  });

  test("of a short list does nothing", () => {
    const { timeline } = begun(3);
    const before = timeline.value;
    timeline.trim(3);
    expect(timeline.value).toBe(before);
  });
});

describe("snapshots", () => {
  test("are the same until something changes, and share what did not", () => {
    const { room, timeline } = begun(3);
    const before = timeline.value;
    expect(timeline.value).toBe(before);
    room.tell(room.write({ type: "reaction", target: room.log[1]!, key: "+", on: true }));
    const after = timeline.value;
    expect(after).not.toBe(before);
    expect(after.entries.map((entry, index) => entry === before.entries[index])).toEqual([true, false, true]);
    expect(draw(before.entries[1]!)).toBe("2");
  });

  test("tell each live event, and a replay as a whole", async () => {
    const room = new DoubleRoom();
    for (let n = 0; n < 500; n++) room.write({ type: "message", data: n });
    const timeline = new Timeline(room);
    let calls = 0;
    timeline.subscribe(() => calls++);
    room.joined(500);
    expect(calls).toBeLessThan(3);
    expect(messages(timeline)).toHaveLength(500);
    const before = calls;
    room.say("live");
    expect(calls).toBe(before + 1);
  });

  test("tell what a crowd says together, to the last word, and afterwards one event at once", () => {
    vi.useFakeTimers();
    try {
      const { room, timeline } = begun(1);
      let calls = 0;
      let heard = 0;
      timeline.subscribe(({ entries }) => {
        calls++;
        heard = entries.length;
      });
      for (let n = 0; n < 100; n++) {
        for (let more = 0; more < 10; more++) room.say("x");
        vi.advanceTimersByTime(10);
      }
      vi.advanceTimersByTime(200);
      expect(heard).toBe(1_001);
      expect(calls).toBeLessThan(40);
      const before = calls;
      room.say("by itself");
      expect(calls).toBe(before + 1);
    } finally {
      vi.useRealTimers();
    }
  });

  test("come during a long replay, too", async () => {
    const { room, timeline } = begun(1);
    const told = new Promise((resolve) => timeline.subscribe(resolve));
    room.status.set({ state: "recovering" });
    room.say("2");
    await told;
    expect(look(timeline)).toBe("1 2");
  });

  test("are the newest that there is, also where a listener before has changed something", () => {
    const { room, timeline } = begun(1);
    const seen: number[] = [];
    timeline.subscribe(({ entries }) => entries.length < 3 && void timeline.send("more"));
    timeline.subscribe(({ entries }) => seen.push(entries.length));
    room.say("2");
    expect(seen).toEqual([3, 3]);
  });

  test("end with dispose, also for who would be told next", () => {
    const { room, timeline } = begun(1);
    let calls = 0;
    timeline.subscribe(() => timeline.dispose());
    timeline.subscribe(() => calls++);
    room.say("2");
    room.say("3");
    room.live();
    expect(calls).toBe(0);
    expect(room.followed).toBe(false);
  });
});

async function fill(timeline: Timeline, limit?: number): Promise<void> {
  for (const entry of timeline.value.entries) if (entry.kind === "gap") await timeline.fill(entry, limit);
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
}
