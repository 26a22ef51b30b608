import { memo, useId, useRef, useState, type ChangeEvent, type KeyboardEvent } from "react";
import { Button, IconButton } from "../ui/Button.tsx";
import { said } from "../ui/Complaint.tsx";
import { Field, SelectField, TextField } from "../ui/Field.tsx";
import { inBrowser } from "../ui/storage.ts";
import { bytesText } from "./model/export.ts";
import { bytesOf } from "./model/hex.ts";
import { PLACEHOLDERS, REQUESTS, kindOf } from "./model/requests.ts";
import type { Session } from "./model/session.ts";
import { forgetRequest, savedRequests } from "./model/storage.ts";
import { RepeatPanel } from "./RepeatPanel.tsx";
import { SaveRequest } from "./SaveRequest.tsx";

type Form = "text" | "hex";

/** The gateway's frames are much smaller; others may take more, and a tab holds it. */
const LARGEST_FILE = 16 * 1024 * 1024;

/** What to send: written, picked from the saved ones, or a file. */
export function Composer({ session }: { readonly session: Session }) {
  const [text, setText] = useState(REQUESTS[1]?.text ?? "");
  const [picked, setPicked] = useState("ours:1");
  const [form, setForm] = useState<Form>("text");
  const [room, setRoom] = useState(session.room);
  const [mine, setMine] = useState(() => savedRequests(inBrowser));
  const [saving, setSaving] = useState(false);
  const [complaint, setComplaint] = useState("");
  const file = useRef<HTMLInputElement>(null);
  const title = useId();
  const open = session.phase.state === "open";
  const own = picked.startsWith("mine:") ? picked.slice(5) : undefined;

  const attempt = (send: () => void) => {
    try {
      send();
      setComplaint("");
    } catch (error) {
      setComplaint(said(error));
    }
  };
  const send = () => attempt(() => (form === "hex" ? session.sendBytes(bytesOf(text)) : session.sendRequest(text)));
  const pick = (event: ChangeEvent<HTMLSelectElement>) => {
    const { value } = event.target;
    setPicked(value);
    const found = value.startsWith("mine:") ? mine.find(({ name }) => name === value.slice(5)) : REQUESTS[Number(value.slice(5))];
    if (!found) return;
    setText(found.text);
    setForm("text");
    setComplaint("");
  };
  const sendFile = async (event: ChangeEvent<HTMLInputElement>) => {
    const [chosen] = event.target.files ?? [];
    // The same file may be chosen again.
    event.target.value = "";
    if (!chosen) return;
    if (chosen.size > LARGEST_FILE) return setComplaint(`${chosen.name} has ${bytesText(chosen.size)}, and at most ${bytesText(LARGEST_FILE)} go in one frame from here`);
    const bytes = new Uint8Array(await chosen.arrayBuffer());
    attempt(() => session.sendBytes(bytes));
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    send();
  };

  return (
    <section className="panel" aria-labelledby={title}>
      <h2 id={title} className="unseen">
        Send
      </h2>
      <div className="request-bar">
        <SelectField label="Request" value={picked} onChange={pick}>
          <optgroup label="Chorus">
            {REQUESTS.map(({ name }, index) => (
              <option key={name} value={`ours:${index}`}>
                {name}
              </option>
            ))}
          </optgroup>
          {mine.length > 0 && (
            <optgroup label="Saved here">
              {mine.map(({ name }) => (
                <option key={name} value={`mine:${name}`}>
                  {name}
                </option>
              ))}
            </optgroup>
          )}
        </SelectField>
        <TextField
          label="Room"
          value={room}
          onChange={(event) => {
            setRoom(event.target.value);
            session.room = event.target.value.trim();
          }}
          autoCapitalize="off"
          autoComplete="off"
          spellCheck={false}
        />
        <IconButton label="Save as a request" icon="plus" disabled={text === "" || form === "hex"} onClick={() => setSaving(true)} />
        <IconButton
          label={own === undefined ? "Forget the request: choose one that was saved here" : `Forget “${own}”`}
          icon="trash"
          disabled={own === undefined}
          onClick={() => {
            setMine(forgetRequest(inBrowser, own ?? ""));
            setPicked("ours:1");
          }}
        />
      </div>
      <Field label="Message" labelUnseen hint={<Hint text={text} form={form} />} error={complaint || undefined}>
        {(control) => (
          <textarea
            {...control}
            className="input mono composer-text"
            rows={4}
            value={text}
            onChange={(event) => setText(event.target.value)}
            onKeyDown={keys}
            aria-keyshortcuts="Control+Enter"
            placeholder={form === "hex" ? "00 ff …" : "Anything"}
            autoCapitalize="off"
            autoComplete="off"
            spellCheck={false}
          />
        )}
      </Field>
      <div className="send-bar">
        <SelectField label="Send as" labelUnseen value={form} onChange={(event) => setForm(event.target.value as Form)}>
          <option value="text">Text</option>
          <option value="hex">Binary, from hex</option>
        </SelectField>
        <input ref={file} type="file" hidden onChange={(event) => void sendFile(event)} aria-label="File to send" />
        <Button disabled={!open} onClick={() => file.current?.click()}>
          File…
        </Button>
        <Button look="primary" icon="send" disabled={!open} onClick={send} title="Ctrl+Enter">
          Send
        </Button>
      </div>
      <RepeatPanel session={session} text={text} possible={open && form === "text"} />
      <SaveRequest
        open={saving}
        text={text}
        onClose={() => setSaving(false)}
        onSaved={(name, all) => {
          setMine(all);
          setPicked(`mine:${name}`);
          setSaving(false);
        }}
      />
    </section>
  );
}

/** Worked out for a text once, and not at every frame that comes. */
const Hint = memo(function Hint({ text, form }: { readonly text: string; readonly form: Form }) {
  if (form === "hex") {
    try {
      return <>{bytesText(bytesOf(text).length)}</>;
    } catch (error) {
      return <span className="tone-text tone-warn">{said(error)}</span>;
    }
  }
  const kind = kindOf(text);
  return (
    <>
      <span className={kind === "broken JSON" ? "tone-text tone-warn" : undefined}>{KINDS[kind]}</span> Filled in: <span className="mono placeholders">{PLACEHOLDERS}</span>
    </>
  );
});

const KINDS = { JSON: "JSON.", text: "Text, no JSON.", "broken JSON": "Not JSON as it stands." };
