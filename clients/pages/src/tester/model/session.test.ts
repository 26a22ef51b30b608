import { beforeEach, afterEach, expect, test, vi } from "vitest";
import { Session } from "./session.ts";

/** The part of a socket that a session uses, with a server that is the test. */
class FakeSocket {
  static last: FakeSocket;
  binaryType = "";
  protocol = "";
  bufferedAmount = 0;
  readonly sent: (string | Uint8Array)[] = [];
  closedWith: number | undefined;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocols: string[] = [],
  ) {
    FakeSocket.last = this;
  }
  send(data: string | Uint8Array): void {
    this.sent.push(data);
  }
  close(code: number): void {
    this.closedWith = code;
  }
  /** The server answers the handshake. */
  accept(protocol = ""): void {
    this.protocol = protocol;
    this.onopen?.();
  }
  say(frame: object | string): void {
    this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }
  end(code: number, reason = ""): void {
    this.onclose?.({ code, reason });
  }
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const ADDRESS = "ws://host/ws";

/** A session whose server is the test. */
const byHand = () => new Session(FakeSocket as unknown as typeof WebSocket);

function connected(protocol = "chorus.v1", url = ADDRESS) {
  const session = byHand();
  session.open({ url, protocols: ["chorus.v1"] });
  const socket = FakeSocket.last;
  socket.accept(protocol);
  return { session, socket };
}
const texts = (session: Session): string[] => session.log.frames.map(({ direction, text }) => `${direction}: ${text}`);

test("the token goes out first, and stands in the log hidden", () => {
  const session = byHand();
  session.token = "eyJhbGciOi.x.y";
  session.open({ url: `${ADDRESS}?token=eyJhbGciOi.x.y`, protocols: [], first: '{"type":"auth","token":"eyJhbGciOi.x.y"}' });
  expect(session.phase.state).toBe("connecting");
  expect(FakeSocket.last.sent).toEqual([]);
  FakeSocket.last.accept();
  expect(FakeSocket.last.sent).toEqual(['{"type":"auth","token":"eyJhbGciOi.x.y"}']);
  expect(texts(session)).toEqual(["note: Connecting to ws://host/ws?token=hidden", "note: Open, no subprotocol", 'out: {"type":"auth","token":"eyJh…hidden"}']);
  expect(session.log.frames.at(-1)?.size).toBe(40);
});

test("frames both ways are logged with what they are", () => {
  const { session, socket } = connected();
  session.sendText('{"type":"join","room":"ä"}');
  session.sendBytes(Uint8Array.of(1, 2));
  socket.say({ type: "ok", ref: 1 });
  socket.onmessage?.({ data: Uint8Array.of(3).buffer });
  socket.say("no JSON");
  const [, , ...frames] = session.log.frames;
  expect(frames.map(({ direction, opcode, size, type }) => [direction, opcode, size, type])).toEqual([
    ["out", "text", 27, "join"],
    ["out", "binary", 2, undefined],
    ["in", "text", 21, "ok"],
    ["in", "binary", 1, undefined],
    ["in", "text", 7, undefined],
  ]);
  expect([...session.types]).toEqual(["join", "ok"]);
  expect([session.sent.total, session.received.total]).toEqual([2, 3]);
});

test("requests are filled with a number that grows and the newest message's position", () => {
  const { session, socket } = connected();
  const edit = '{"ref":{{n}},"target":{"epoch":"{{epoch}}","seq":{{seq}}}}';
  expect(() => session.sendRequest(edit)).toThrow("no message has come yet");
  socket.say({ type: "message", epoch: "e", seq: 4 });
  socket.say({ type: "edit", epoch: "e", seq: 5 });
  session.sendRequest(edit);
  session.sendRequest("{{n}}");
  expect(socket.sent).toEqual(['{"ref":1,"target":{"epoch":"e","seq":4}}', "2"]);
});

test("pings wait until a Chorus gateway knows us, and are marked with their answers", () => {
  const { session, socket } = connected();
  expect(session.pingable).toBe(false);
  socket.say({ type: "welcome", user: "anna", node: "node-1" });
  expect(session.pingable).toBe(true);
  session.ping();
  const { ref } = JSON.parse(socket.sent[0] as string) as { ref: string };
  socket.say({ type: "pong", ref });
  expect(session.pings.points).toHaveLength(1);
  expect(session.log.frames.filter(({ ping }) => ping).map(({ direction }) => direction)).toEqual(["out", "in"]);
  expect(connected("").session.pingable).toBe(true);
  expect(connected("chorus.v1", "ws://host/echo").session.pingable).toBe(true);
});

test("a close keeps its code, and what was said before it", () => {
  const { session, socket } = connected();
  socket.say({ type: "closing", code: 1012, reason: "restart", retry_after_ms: 1500 });
  socket.end(1012, "restart");
  expect(session.phase).toEqual({ state: "closed", url: ADDRESS, close: { code: 1012, reason: "restart", opened: true }, farewell: { retryAfterMs: 1500 } });
  expect(texts(session).at(-1)).toBe("note: Closed: 1012 restart (service restart)");
  expect(() => session.sendText("x")).toThrow("connect first");
  const never = byHand();
  never.open({ url: ADDRESS, protocols: [] });
  FakeSocket.last.end(1006);
  expect(never.phase).toMatchObject({ state: "closed", close: { opened: false } });
});

test("a handshake that one gave up is no fault of the other side", () => {
  const session = byHand();
  session.open({ url: ADDRESS, protocols: [] });
  session.close();
  FakeSocket.last.end(1006);
  expect(session.phase).toEqual({ state: "idle" });
  expect(texts(session).at(-1)).toBe("note: Cancelled");
});

test("a new connection silences the old one", () => {
  const { session, socket } = connected();
  session.open({ url: "ws://other/", protocols: [] });
  expect(socket.closedWith).toBe(1000);
  socket.say("late");
  socket.end(1000);
  expect(session.phase).toEqual({ state: "connecting", url: "ws://other/" });
  expect(texts(session)).not.toContain("in: late");
});

test("a run counts by itself, and ends with the connection", () => {
  const { session, socket } = connected();
  session.repeat('{"n":{{n}}}', { perSecond: 100 });
  vi.advanceTimersByTime(100);
  expect(socket.sent.slice(0, 3)).toEqual(['{"n":1}', '{"n":2}', '{"n":3}']);
  expect(session.run?.repeat.sent).toBe(socket.sent.length);
  socket.bufferedAmount = 2_000_000;
  const before = socket.sent.length;
  vi.advanceTimersByTime(1_000);
  expect(socket.sent).toHaveLength(before);
  socket.end(1006);
  expect(session.run?.ending).toEqual({ how: "stopped" });
  expect(() => session.repeat("x", { perSecond: 1 })).toThrow("connect first");
});

test("who looks is told of many frames at once, and of the connection without delay", () => {
  const { session, socket } = connected();
  let told = 0;
  session.subscribe(() => (told += 1));
  for (let n = 0; n < 100; n += 1) socket.say({ n });
  expect(told).toBe(0);
  vi.advanceTimersByTime(60);
  expect(told).toBe(1);
  expect(session.view.shown).toHaveLength(102);
  session.close();
  expect([told, session.phase.state, socket.closedWith]).toEqual([2, "closing", 1000]);
  session.clear();
  expect([session.view.shown.length, session.types.size]).toEqual([0, 0]);
});
