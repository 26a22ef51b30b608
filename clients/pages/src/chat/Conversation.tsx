import "./Conversation.css";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Chat, ChorusError, Room } from "chorus-client";
import { usePresence, useRoom, useTyping, type Entry, type GapEntry, type MessageEntry } from "chorus-client/react";
import { IconButton } from "../ui/Button.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { toast } from "../ui/Toast.tsx";
import { useNow } from "../ui/useNow.ts";
import { Composer, type Editing } from "./Composer.tsx";
import { Connection } from "./Connection.tsx";
import type { Drafts } from "./drafts.ts";
import { Drawer } from "./Drawer.tsx";
import { EmojiPicker } from "./EmojiPicker.tsx";
import { Feed, type FeedHandle } from "./Feed.tsx";
import { textOf } from "./Markup.tsx";
import { Members } from "./Members.tsx";
import type { MessageActions } from "./Message.tsx";
import { inTurns, namesOf } from "./people.ts";
import { because } from "./reasons.ts";
import { RECENT } from "./RoomList.tsx";
import { rowsOf } from "./rows.ts";
import type { Seen } from "./seen.ts";
import { sentence } from "./status.ts";
import { useMarkers } from "./useMarkers.ts";
import { useNews } from "./useNews.ts";

const WIDE = "(min-width: 70rem)";

interface ConversationProps {
  readonly chat: Chat | undefined;
  readonly name: string;
  readonly ownName: string | undefined;
  readonly seen: Seen;
  readonly drafts: Drafts;
  /** What the server takes, in bytes of data. */
  readonly longest: number;
  readonly onRooms: () => void;
  readonly onSignIn: () => void;
}

/** A room: what was said in it, who is there, and a field to write. */
export function Conversation({ chat, name, ownName, seen, drafts, longest, onRooms, onSignIn }: ConversationProps) {
  const { entries, older, error, status, room, send, retry, discard, loadOlder, fill } = useRoom(name, { recent: RECENT });
  const presence = usePresence(room);
  const { typing, type } = useTyping(room);
  const markers = useMarkers(room);
  const now = useNow(60_000);
  const me = chat?.user;
  const [bottom, setBottom] = useState(true);
  const [editing, setEditing] = useState<Editing>();
  const [removing, setRemoving] = useState<MessageEntry>();
  const [picking, setPicking] = useState<{ readonly entry: MessageEntry; readonly near: DOMRect }>();
  const [showsMembers, setShowsMembers] = useMembersShown();
  const feed = useRef<FeedHandle>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const news = useNews({ name, room, status, entries, me, seen, bottom });

  const names = useMemo(() => {
    const known = new Map(namesOf(presence.members, entries));
    if (me !== undefined && ownName !== undefined && !known.has(me)) known.set(me, ownName);
    return known;
  }, [presence.members, entries, me, ownName]);
  const empty = room?.position?.seq === 0;
  const rows = useMemo(
    () => rowsOf(entries, { now, news: news.first, complete: older === "none", empty, markers, me }),
    [entries, now, news.first, older, empty, markers, me],
  );

  useEffect(() => {
    // A phone's keyboard should not come by itself.
    if (matchMedia("(hover: hover)").matches) field.current?.focus();
  }, []);
  useEffect(() => {
    if (error) toast(`Could not load earlier messages: ${error.message}`, "bad");
  }, [error]);
  useLoadedAgain(status.state === "joined", error !== undefined, loadOlder);

  const actions = useActions({ room, retry, discard, setEditing, setRemoving, setPicking });
  const closeMembers = useCallback(() => setShowsMembers(false), [setShowsMembers]);
  const closePicker = useCallback(() => setPicking(undefined), []);
  const onOlder = useCallback(() => void loadOlder(), [loadOlder]);
  const onFill = useCallback((gap: GapEntry) => void fill(gap), [fill]);
  const stopEditing = () => {
    setEditing(undefined);
    field.current?.focus();
  };
  const editLast = () => {
    const last = rows.findLast(({ entry, gone }) => !gone && entry.kind === "message" && entry.from === me && entry.state === "sent" && !entry.deleted && textOf(entry.data) !== undefined);
    if (last?.entry.kind === "message") actions.edit(last.entry);
  };
  const edited = (entry: MessageEntry, text: string) => {
    stopEditing();
    if (!entry.position || text === textOf(entry.data)) return;
    room?.edit(entry.position, { text }).catch((cause: ChorusError) => {
      complain("The message was not changed")(cause);
      // What was written is not lost, unless another message is being changed by now.
      setEditing((current) => current ?? { entry, text });
    });
  };
  const typists = typing.map((user) => names.get(user) ?? user);

  return (
    <>
      <section className="conversation" aria-label={`Room ${name}`}>
        <header className="conversation-head">
          <IconButton label="Rooms" icon="menu" className="only-narrow" onClick={onRooms} />
          <h1 className="conversation-title">
            <span aria-hidden="true">#</span>
            {name}
          </h1>
          <Connection chat={chat} room={room} status={status} entries={entries} onSignIn={onSignIn} />
          <IconButton label="Members" icon="people" aria-pressed={showsMembers} onClick={() => setShowsMembers(!showsMembers)} />
        </header>
        {status.state === "left" && status.error && (
          <p className="conversation-left" role="alert">
            {sentence(because(status.error, "room"))}
          </p>
        )}
        {rows.length === 0 && status.state === "joined" && older === "none" && (
          <div className="conversation-empty">
            <p>Nobody has said anything here yet.</p>
            <p className="muted">
              Say hello, or{" "}
              <a href={location.href} target="_blank" rel="noopener">
                open this page in a second tab
              </a>{" "}
              and answer yourself.
            </p>
          </div>
        )}
        <Feed
          rows={rows}
          older={older}
          failed={error !== undefined}
          me={me}
          names={names}
          actions={actions}
          below={bottom ? 0 : news.count}
          handle={feed}
          onOlder={onOlder}
          onFill={onFill}
          onBottom={setBottom}
          onEscape={() => field.current?.focus()}
        />
        <p className="typing">
          {typists.length > 0 && (
            <>
              {inTurns(typists).map((part, turn) => (turn % 2 === 0 ? <bdi key={turn}>{part}</bdi> : part))} {typists.length === 1 ? "is" : "are"} typing…
            </>
          )}
        </p>
        <Composer
          room={name}
          drafts={drafts}
          longest={longest}
          editing={editing}
          field={field}
          onSend={(text) => {
            send({ text });
            feed.current?.toEnd();
          }}
          onEdited={edited}
          onCancel={stopEditing}
          onType={type}
          onUp={editLast}
        />
        <LiveLog room={room} me={me} names={names} entries={entries} />
      </section>
      <Drawer side="right" label="Members" open={showsMembers} onClose={closeMembers}>
        <Members presence={presence} typing={typing} me={me} live={status.state === "joined"} />
      </Drawer>
      {picking && (
        <EmojiPicker
          near={picking.near}
          onClose={closePicker}
          onPick={(emoji) => {
            actions.react(picking.entry, emoji, true);
            closePicker();
          }}
        />
      )}
      <Dialog
        open={removing !== undefined}
        title="Delete this message?"
        confirm="Delete"
        cancel="Keep it"
        onClose={() => setRemoving(undefined)}
        onConfirm={() => {
          if (removing?.position) room?.delete(removing.position).catch(complain("The message was not deleted"));
          setRemoving(undefined);
        }}
      >
        <p>Its text goes from the server, and from everybody’s screen. That something was said here stays.</p>
      </Dialog>
    </>
  );
}

/** Beside the conversation where there is room; elsewhere they would lie over it, and are asked for. */
function useMembersShown() {
  const [shown, setShown] = useState(() => matchMedia(WIDE).matches);
  useEffect(() => {
    const wide = matchMedia(WIDE);
    const follow = () => setShown(wide.matches);
    wide.addEventListener("change", follow);
    return () => wide.removeEventListener("change", follow);
  }, []);
  return [shown, setShown] as const;
}

/** Loads what could not be loaded once more when the room is joined again: by itself no other time, or it would try without end. */
function useLoadedAgain(joined: boolean, failed: boolean, loadOlder: () => Promise<void>) {
  const before = useRef(failed);
  useEffect(() => {
    before.current = failed;
  }, [failed]);
  useEffect(() => {
    if (joined && before.current) void loadOlder();
  }, [joined, loadOlder]);
}

interface ActionsOf {
  readonly room: Room | undefined;
  readonly retry: (entry: MessageEntry) => void;
  readonly discard: (entry: MessageEntry) => void;
  readonly setEditing: (editing: Editing) => void;
  readonly setRemoving: (entry: MessageEntry) => void;
  readonly setPicking: (picking: { readonly entry: MessageEntry; readonly near: DOMRect }) => void;
}

function useActions({ room, retry, discard, setEditing, setRemoving, setPicking }: ActionsOf): MessageActions {
  return useMemo(
    () => ({
      edit: (entry) => setEditing({ entry, text: textOf(entry.data) ?? "" }),
      remove: setRemoving,
      react(entry, key, on) {
        if (entry.position) room?.react(entry.position, key, on).catch(complain("The reaction was not sent"));
      },
      pick: (entry, near) => setPicking({ entry, near }),
      retry,
      discard,
    }),
    [room, retry, discard, setEditing, setRemoving, setPicking],
  );
}

function complain(what: string): (error: ChorusError) => void {
  return (error) => toast(sentence(`${what}: ${because(error, "deed")}`), "bad");
}

interface LiveLogProps {
  readonly room: Room | undefined;
  readonly me: string | undefined;
  readonly names: ReadonlyMap<string, string>;
  readonly entries: readonly Entry[];
}

/**
 * What comes live, and what of one's own does not get there, for screen readers: the list itself is no live region, for scrolling puts old
 * messages into it.
 */
function LiveLog({ room, me, names, entries }: LiveLogProps) {
  const [lines, setLines] = useState<readonly { readonly key: string; readonly text: string }[]>([]);
  const known = useRef(names);
  useEffect(() => {
    known.current = names;
  }, [names]);
  useEffect(() => {
    return room?.on("message", ({ epoch, seq, from, name, data }) => {
      if (from === me || room.status.value.state !== "joined") return;
      const text = `${name ?? known.current.get(from) ?? from}: ${textOf(data) ?? "data"}`;
      setLines((before) => [...before.slice(-4), { key: `${epoch}/${seq}`, text }]);
    });
  }, [room, me]);
  const stuck = useRef<ReadonlySet<string>>(new Set());
  /** What fails, is sent again and fails again is said twice. */
  const said = useRef(0);
  useEffect(() => {
    const now = entries.filter((one): one is MessageEntry => one.kind === "message" && (one.state === "failed" || one.state === "unknown"));
    const news = now.filter(({ key }) => !stuck.current.has(key));
    stuck.current = new Set(now.map(({ key }) => key));
    if (!news.length) return;
    setLines((before) => [
      ...before.slice(-4),
      ...news.map(({ key, state, data }) => ({ key: `${key} ${++said.current}`, text: `${state === "failed" ? "Not sent" : "Perhaps not sent"}: ${textOf(data) ?? "data"}` })),
    ]);
  }, [entries]);
  return (
    <div className="unseen" role="log" aria-live="polite" aria-label="New messages">
      {lines.map(({ key, text }) => (
        <p key={key}>{text}</p>
      ))}
    </div>
  );
}
