import { useCallback, useMemo, useState } from "react";
import { ChatProvider } from "chorus-client/react";
import { IconButton } from "../ui/Button.tsx";
import { Page } from "../ui/Page.tsx";
import { ChatPage } from "./ChatPage.tsx";
import { forgetDrafts } from "./drafts.ts";
import { optionsFor, remember, remembered, type Identity } from "./identity.ts";
import { useRooms } from "./rooms.ts";
import { SignIn } from "./SignIn.tsx";

/** Somebody who is in: signing in again is another connection, also as the same. */
interface In {
  readonly identity: Identity;
  readonly turn: number;
}

/** The page: where one signs in, or the chat. */
export function App() {
  const rooms = useRooms();
  const { open } = rooms;
  const [before, setBefore] = useState(remembered);
  const [isIn, setIn] = useState<In | undefined>(() => before && { identity: before, turn: 0 });
  const [error, setError] = useState<string>();

  const signIn = (identity: Identity, room: string) => {
    remember(identity);
    open(room);
    setBefore(identity);
    setError(undefined);
    setIn({ identity, turn: (isIn?.turn ?? 0) + 1 });
  };
  const end = useCallback((why?: string) => {
    remember(undefined);
    setError(why);
    setIn(undefined);
  }, []);

  const signOut = () => {
    forgetDrafts();
    end();
  };

  const identity = isIn?.identity;
  const options = useMemo(() => identity && optionsFor(identity), [identity]);
  const ownName = identity?.kind === "guest" ? identity.name : undefined;
  const me = isIn && (
    <div className="chat-me">
      {ownName !== undefined && <bdi>{ownName}</bdi>}
      <IconButton label="Sign out" icon="leave" onClick={signOut} />
    </div>
  );
  return (
    <Page current="chat" full extra={me}>
      {isIn && options ? (
        <ChatProvider key={isIn.turn} url="/ws" options={options}>
          <ChatPage rooms={rooms} ownName={ownName} onEnd={end} />
        </ChatProvider>
      ) : (
        <SignIn before={before} room={rooms.current ?? ""} error={error} onSignIn={signIn} />
      )}
    </Page>
  );
}
