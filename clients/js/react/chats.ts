import { connect } from "../src/connect.ts";
import { Timeline } from "../src/timeline.ts";
import type { Chat, JoinOptions, Options, Room } from "../src/types.ts";
import { Shared } from "./shared.ts";

/** A room that components show. */
export interface Membership {
  readonly room: Room;
  readonly timeline: Timeline;
  /** Somebody wants to see so many of the last messages; the first who joined may have wanted fewer. */
  want(recent: number): void;
}

// By the objects themselves, so that nothing is held of options that were thrown away. What was closed may be used again:
// a component that was hidden for long still has it in its hands.
const chats = new WeakMap<Options, Map<string, Shared<Chat>>>();
const rooms = new WeakMap<Chat, Map<string, Shared<Membership, JoinOptions>>>();
const NO_OPTIONS: Options = {};

/** The one connection to `url` with these very `options`. */
export function sharedChat(url: string, options = NO_OPTIONS): Shared<Chat> {
  return entry(entry(chats, options, () => new Map<string, Shared<Chat>>()), url, () => new Shared({
    open: () => connect(url, options),
    close: (chat) => chat.close(),
    busy: (chat) => [...(rooms.get(chat)?.values() ?? [])].some((room) => room.value !== undefined),
  }));
}

/** The one membership in a room. `options` are those of whoever is the first to use it. */
export function sharedRoom(chat: Chat, name: string): Shared<Membership, JoinOptions> {
  return entry(entry(rooms, chat, () => new Map<string, Shared<Membership, JoinOptions>>()), name, () => {
    // What the application has joined by itself is its own to leave.
    let own = false;
    return new Shared({
      open(options) {
        own = chat.room(name) === undefined;
        return membership(chat, chat.join(name, options), own ? (options?.recent ?? 0) : 0);
      },
      close({ room, timeline }) {
        timeline.dispose();
        if (own) room.leave();
      },
      busy: ({ timeline }) => timeline.value.entries.some((one) => one.kind === "message" && one.state === "sending"),
    });
  });
}

function membership(chat: Chat, room: Room, recent: number): Membership {
  const timeline = new Timeline(room, chat);
  let wanted = recent;
  return {
    room,
    timeline,
    want(more) {
      if (more <= wanted) return;
      wanted = more;
      const load = (): void => {
        const { older, entries } = timeline.value;
        // Not before the join is over: it may bring some.
        if (older === "loading") return;
        end();
        if (entries.length < more) void timeline.loadOlder(more - entries.length);
      };
      const end = timeline.subscribe(load);
      load();
    },
  };
}

function entry<K, V>(map: { get(key: K): V | undefined; set(key: K, value: V): unknown }, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
