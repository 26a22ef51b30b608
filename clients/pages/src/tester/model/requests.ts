/** Requests to begin from: this protocol's, and the user's own. */

export interface Request {
  readonly name: string;
  readonly text: string;
}

/** Each of docs/PROTOCOL.md's “Client to server”, in its order, with what is optional where it helps. */
export const REQUESTS: readonly Request[] = [
  { name: "auth", text: '{"type": "auth", "ref": {{n}}, "token": "{{token}}"}' },
  { name: "join, last 20", text: '{"type": "join", "ref": {{n}}, "room": "{{room}}", "recent": 20}' },
  { name: "join, resume", text: '{"type": "join", "ref": {{n}}, "room": "{{room}}", "since": {"epoch": "{{epoch}}", "seq": {{seq}}}}' },
  { name: "leave", text: '{"type": "leave", "ref": {{n}}, "room": "{{room}}"}' },
  { name: "message", text: '{"type": "message", "ref": {{n}}, "room": "{{room}}", "id": "{{uuid}}", "data": {"text": "Hello {{n}}"}}' },
  { name: "edit", text: '{"type": "edit", "ref": {{n}}, "room": "{{room}}", "target": {"epoch": "{{epoch}}", "seq": {{seq}}}, "data": {"text": "Hello again"}}' },
  { name: "delete", text: '{"type": "delete", "ref": {{n}}, "room": "{{room}}", "target": {"epoch": "{{epoch}}", "seq": {{seq}}}}' },
  { name: "react", text: '{"type": "react", "ref": {{n}}, "room": "{{room}}", "target": {"epoch": "{{epoch}}", "seq": {{seq}}}, "key": "👍", "on": true}' },
  { name: "read", text: '{"type": "read", "ref": {{n}}, "room": "{{room}}", "target": {"epoch": "{{epoch}}", "seq": {{seq}}}}' },
  { name: "typing", text: '{"type": "typing", "ref": {{n}}, "room": "{{room}}", "on": true}' },
  { name: "presence", text: '{"type": "presence", "ref": {{n}}, "room": "{{room}}"}' },
  { name: "history", text: '{"type": "history", "ref": {{n}}, "room": "{{room}}", "limit": 50}' },
  { name: "ping", text: '{"type": "ping", "ref": {{n}}}' },
];

/** What a placeholder is filled with. A position is that of the newest `message` that came. */
export interface Values {
  readonly n: number;
  readonly token: string;
  readonly room: string;
  readonly position: { readonly epoch: string; readonly seq: number } | undefined;
  readonly uuid: () => string;
  readonly now: () => number;
}

export const PLACEHOLDERS = "{{n}} {{uuid}} {{time}} {{room}} {{token}} {{epoch}} {{seq}}";

/** Fills the placeholders; throws what is missing. Braces that are none of ours stay. */
export function fill(text: string, values: Values): string {
  return text.replace(/\{\{(n|uuid|time|room|token|epoch|seq)\}\}/g, (_, name: string) => {
    switch (name) {
      case "n":
        return String(values.n);
      case "uuid":
        return values.uuid();
      case "time":
        return String(values.now());
      case "room":
        if (values.room === "") throw new Error("{{room}}: enter a room");
        return values.room;
      case "token":
        if (values.token === "") throw new Error("{{token}}: there is no token yet; enter one above");
        return values.token;
      default:
        if (!values.position) throw new Error(`{{${name}}}: no message has come yet whose position it could be; join a room with messages, or send one`);
        return name === "epoch" ? values.position.epoch : String(values.position.seq);
    }
  });
}

/** What a text is once it is filled: said before it is sent, for a forgotten brace is soon overlooked. */
export function kindOf(text: string): "JSON" | "text" | "broken JSON" {
  const filled = fill(text, { n: 1, token: "token", room: "room", position: { epoch: "epoch", seq: 1 }, uuid: () => "uuid", now: () => 0 });
  try {
    JSON.parse(filled);
    return "JSON";
  } catch {
    return /^\s*[{[]/.test(filled) ? "broken JSON" : "text";
  }
}

/** `crypto.randomUUID` is there only where the page came by https or from this machine. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
