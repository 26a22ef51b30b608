import "./ChatPage.css";
import { useCallback, useEffect, useRef, useState } from "react";
import { useChat, useStatus } from "chorus-client/react";
import { Button } from "../ui/Button.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { Conversation } from "./Conversation.tsx";
import { Drafts } from "./drafts.ts";
import { Drawer } from "./Drawer.tsx";
import { RoomList } from "./RoomList.tsx";
import type { useRooms } from "./rooms.ts";
import { Seen } from "./seen.ts";
import { sentence, words } from "./status.ts";
import { useLongest } from "./useLongest.ts";

interface ChatPageProps {
  readonly rooms: ReturnType<typeof useRooms>;
  readonly ownName: string | undefined;
  /** It ended; `why` when nobody wanted it to. */
  readonly onEnd: (why?: string) => void;
}

/** The rooms at one side, a conversation, and who is in it at the other. */
export function ChatPage({ rooms, ownName, onEnd }: ChatPageProps) {
  const chat = useChat();
  const { names, current, open, leave } = rooms;
  const [showsRooms, setShowsRooms] = useState(false);
  const [leaving, setLeaving] = useState<string>();
  const [seen] = useState(() => new Seen());
  const [drafts] = useState(() => new Drafts());
  const longest = useLongest(chat);
  useFirstRefusal(onEnd);

  const openRoom = useCallback(
    (name: string) => {
      open(name);
      setShowsRooms(false);
    },
    [open],
  );
  const closeRooms = useCallback(() => setShowsRooms(false), []);
  useEffect(() => {
    document.title = current === undefined ? "Chorus" : `#${current} · Chorus`;
  }, [current]);

  return (
    <div className="chat">
      <Drawer side="left" label="Rooms" open={showsRooms} onClose={closeRooms}>
        <RoomList chat={chat} names={names} current={current} seen={seen} onOpen={openRoom} onLeave={setLeaving} />
      </Drawer>
      {current === undefined ? (
        <div className="chat-nowhere">
          <h1>No room</h1>
          <p className="muted">Join one, and it is remembered.</p>
          <Button look="primary" onClick={() => openRoom("lobby")}>
            Join the lobby
          </Button>
        </div>
      ) : (
        <Conversation key={current} chat={chat} name={current} ownName={ownName} seen={seen} drafts={drafts} longest={longest} onRooms={() => setShowsRooms(true)} onSignIn={onEnd} />
      )}
      <Dialog
        open={leaving !== undefined}
        title={`Leave #${leaving ?? ""}?`}
        confirm="Leave"
        cancel="Stay"
        onClose={() => setLeaving(undefined)}
        onConfirm={() => {
          if (leaving !== undefined) {
            leave(leaving);
            seen.forget(leaving);
            drafts.keep(leaving, "");
          }
          setLeaving(undefined);
        }}
      >
        <p>You no longer hear what is said there. Join again whenever you like.</p>
      </Dialog>
    </div>
  );
}

/** Who never came in goes back to where one signs in. Who was in stays, and may read on. */
function useFirstRefusal(onEnd: (why: string) => void): void {
  const status = useStatus();
  const wasIn = useRef(false);
  useEffect(() => {
    if (status.state === "connected") wasIn.current = true;
    if (status.state === "closed" && status.error && !wasIn.current) onEnd(sentence(words(status, undefined, 0).text));
  }, [status, onEnd]);
}
