import "./Composer.css";
import { useEffect, useRef, useState, type KeyboardEvent, type Ref } from "react";
import type { MessageEntry } from "chorus-client/react";
import { IconButton } from "../ui/Button.tsx";
import { Icon } from "../ui/Icon.tsx";
import type { Drafts } from "./drafts.ts";
import { surplus } from "./sizes.ts";

/** A message that is to be changed, and what its field begins with. */
export interface Editing {
  readonly entry: MessageEntry;
  readonly text: string;
}

interface ComposerProps {
  readonly room: string;
  /** What was typed before, and where it is kept. */
  readonly drafts: Drafts;
  /** What the server takes, in bytes of data. */
  readonly longest: number;
  readonly editing: Editing | undefined;
  readonly field: Ref<HTMLTextAreaElement>;
  readonly onSend: (text: string) => void;
  readonly onEdited: (entry: MessageEntry, text: string) => void;
  readonly onCancel: () => void;
  readonly onType: (on: boolean) => void;
  /** The last own message is asked for, to be edited. */
  readonly onUp: () => void;
}

/** Where one writes; also what is to stand in the place of an earlier message. */
export function Composer({ room, drafts, longest, editing, field, onSend, onEdited, onCancel, onType, onUp }: ComposerProps) {
  const [draft, setDraft] = useState(() => drafts.in(room));
  const [edit, setEdit] = useState("");
  const own = useRef<HTMLTextAreaElement>(null);
  const text = editing ? edit : draft;
  const tooLong = surplus(text.trimEnd(), longest);

  useEffect(() => {
    if (!editing) return;
    setEdit(editing.text);
    own.current?.focus();
  }, [editing]);

  const write = (value: string) => {
    if (editing) return setEdit(value);
    setDraft(value);
    drafts.keep(room, value);
    onType(value.trim() !== "");
  };

  const submit = () => {
    // What stands at the beginning may be the indentation of code.
    const said = text.trimEnd();
    if (!said || tooLong > 0) return;
    if (editing) return onEdited(editing.entry, said);
    onSend(said);
    setDraft("");
    drafts.keep(room, "");
  };

  const keys = (event: KeyboardEvent) => {
    // While a word is being composed (Japanese, Chinese, …), the keys belong to the input method. Safari says that it is over before the
    // key that ends it comes (WebKit bug 165004), which has this code then.
    if (event.nativeEvent.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape" && editing) {
      onCancel();
    } else if (event.key === "ArrowUp" && text === "") {
      event.preventDefault();
      onUp();
    }
  };

  return (
    <div className="composer">
      {editing && (
        <p className="composer-editing">
          <Icon name="edit" size={15} /> Editing a message
          <IconButton label="Do not edit" icon="close" small onClick={onCancel} />
        </p>
      )}
      <form
        className="composer-form"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
          own.current?.focus();
        }}
      >
        <textarea
          ref={(element) => {
            own.current = element;
            if (typeof field === "function") field(element);
            else if (field) field.current = element;
          }}
          className="composer-field"
          rows={1}
          dir="auto"
          enterKeyHint="send"
          placeholder={`Write to #${room}`}
          aria-label={editing ? "Edit the message" : "Message"}
          aria-describedby={tooLong > 0 ? "composer-long" : "composer-hint"}
          aria-invalid={tooLong > 0}
          data-testid="composer"
          value={text}
          onChange={(event) => write(event.target.value)}
          onKeyDown={keys}
          onBlur={() => editing || onType(false)}
        />
        <IconButton type="submit" look="primary" icon={editing ? "tick" : "send"} label={editing ? "Save" : "Send"} disabled={!text.trim() || tooLong > 0} />
      </form>
      {tooLong > 0 && (
        <p id="composer-long" className="composer-long" role="status">
          Too long by {tooLong.toLocaleString("en")} {tooLong === 1 ? "character" : "characters"}
        </p>
      )}
      <p id="composer-hint" className="composer-hint">
        <kbd>Enter</kbd> sends, <kbd>Shift</kbd> + <kbd>Enter</kbd> begins a line, <kbd>↑</kbd> edits the last. <strong>**bold**</strong>, <em>*italics*</em>, <code>`code`</code>
      </p>
    </div>
  );
}
