import "./Message.css";
import { memo, useState, type FocusEvent, type ReactNode } from "react";
import type { MessageEntry } from "chorus-client/react";
import { Button, IconButton } from "../ui/Button.tsx";
import { Icon } from "../ui/Icon.tsx";
import { Avatar } from "./Avatar.tsx";
import { exactly, timeOf } from "./days.ts";
import { Said } from "./Markup.tsx";
import { isolated, listed } from "./people.ts";
import { because } from "./reasons.ts";
import type { Row } from "./rows.ts";

/** What one can do to a message. The object stays the same. */
export interface MessageActions {
  edit(entry: MessageEntry): void;
  remove(entry: MessageEntry): void;
  react(entry: MessageEntry, key: string, on: boolean): void;
  pick(entry: MessageEntry, near: DOMRect): void;
  retry(entry: MessageEntry): void;
  discard(entry: MessageEntry): void;
}

interface MessageProps {
  readonly row: Row;
  readonly entry: MessageEntry;
  readonly index: number;
  readonly me: string | undefined;
  readonly names: ReadonlyMap<string, string>;
  readonly actions: MessageActions;
}

/** A message, and what stands above it: the beginning, its day, the line above the news. */
export const Message = memo(function Message({ row, entry, index, me, names, actions }: MessageProps) {
  const [active, setActive] = useState(false);
  const nameOf = (user: string) => names.get(user) ?? user;
  const own = entry.from === me || entry.state !== "sent" || entry.from === "";
  const name = own && entry.from === "" ? nameOf(me ?? "") : (entry.name ?? nameOf(entry.from));
  const isThere = entry.state === "sent" && !entry.deleted && entry.position !== undefined && !row.gone;
  const leave = (event: FocusEvent) => {
    if (!event.currentTarget.contains(event.relatedTarget)) setActive(false);
  };
  return (
    <article
      className={["message", row.continued && "message-continued", own && "message-own", `message-${entry.state}`].filter(Boolean).join(" ")}
      aria-posinset={index + 1}
      aria-setsize={-1}
      aria-label={`${name}, ${timeOf(entry.at)}`}
      tabIndex={-1}
      data-testid="message"
      data-index={index}
      data-epoch={entry.position?.epoch}
      data-seq={entry.position?.seq}
      data-state={entry.state}
      // A finger points at nothing before it taps, and a tap gives the focus.
      onPointerEnter={(event) => event.pointerType === "mouse" && setActive(true)}
      onPointerLeave={(event) => event.pointerType === "mouse" && !event.currentTarget.contains(document.activeElement) && setActive(false)}
      onFocus={() => setActive(true)}
      onBlur={leave}
    >
      <Above row={row} />
      <div className="message-body">
        <div className="message-side">{row.continued ? <time title={exactly(entry.at)}>{timeOf(entry.at)}</time> : <Avatar user={own ? (me ?? entry.from) : entry.from} name={name} />}</div>
        <div className="message-main">
          {!row.continued && (
            <p className="message-head">
              <bdi className="message-name">{name}</bdi>
              <time className="message-time" dateTime={new Date(entry.at).toISOString()} title={exactly(entry.at)}>
                {timeOf(entry.at)}
              </time>
            </p>
          )}
          {entry.deleted ? <p className="message-deleted">Message deleted</p> : <Said data={entry.data} edited={entry.edited} />}
          <State entry={entry} actions={actions} />
          {entry.reactions.length > 0 && (
            <ul className="reactions" aria-label="Reactions">
              {entry.reactions.map(({ key, users }) => {
                const mine = me !== undefined && users.includes(me);
                const names = users.map((user) => (user === me ? "you" : nameOf(user)));
                return (
                  <li key={key}>
                    <button type="button" className="reaction" aria-pressed={mine} aria-label={`${key} ${users.length}, from ${listed(names, 6)}`} title={listed(names.map(isolated), 6)} disabled={!isThere} onClick={() => actions.react(entry, key, !mine)}>
                      <span aria-hidden="true">{key}</span> <span className="numbers">{users.length}</span>
                    </button>
                  </li>
                );
              })}
            </ul>
          )}
        </div>
        <Readers users={row.readers} nameOf={nameOf} />
        {active && isThere && (
          <div className="message-rail">
            <div className="message-tools" role="toolbar" aria-label="Message">
              <IconButton label="Add a reaction" icon="smile" small onClick={(event) => actions.pick(entry, event.currentTarget.getBoundingClientRect())} />
              {own && <IconButton label="Edit" icon="edit" small onClick={() => actions.edit(entry)} />}
              {own && <IconButton label="Delete" icon="trash" small onClick={() => actions.remove(entry)} />}
            </div>
          </div>
        )}
      </div>
    </article>
  );
});

/** Lines above a message, or a gap. */
export function Above({ row }: { readonly row: Row }) {
  return (
    <>
      {row.start && <p className="feed-start">This is the beginning of what the server still has of this room.</p>}
      {row.day !== undefined && (
        <h3 className="divider">
          <span>{row.day}</span>
        </h3>
      )}
      {row.news && (
        <p className="divider divider-news">
          <span>New</span>
        </p>
      )}
    </>
  );
}

function State({ entry, actions }: { readonly entry: MessageEntry; readonly actions: MessageActions }): ReactNode {
  if (entry.state === "sent") return null;
  if (entry.state === "sending") {
    return (
      <p className="message-state">
        <Icon name="clock" size={13} /> sending…
      </p>
    );
  }
  const failed = entry.state === "failed";
  const why = failed ? `not sent: ${entry.error ? because(entry.error, "deed") : "refused"}` : "the server did not answer: it may be there, or not";
  return (
    <p className={`message-state tone-${failed ? "bad" : "warn"}`}>
      <span>
        <Icon name="alert" size={14} /> {why}
      </span>
      <span className="message-choice">
        <Button small icon="retry" onClick={() => actions.retry(entry)}>
          Send again
        </Button>
        <Button small look="quiet" onClick={() => actions.discard(entry)}>
          Discard
        </Button>
      </span>
    </p>
  );
}

/** At most so many letters; the others are a number. */
const FACES = 4;

function Readers({ users, nameOf }: { readonly users: readonly string[]; readonly nameOf: (user: string) => string }) {
  if (users.length === 0) return null;
  const names = users.map(nameOf);
  return (
    <div className="readers" role="img" aria-label={`Read by ${listed(names, 12)}`} title={`Read by ${listed(names.map(isolated), 12)}`}>
      {users.slice(0, FACES).map((user) => (
        <Avatar key={user} user={user} name={nameOf(user)} size="xs" />
      ))}
      {users.length > FACES && <span className="numbers">+{users.length - FACES}</span>}
    </div>
  );
}
