import { useRoom } from "./useRoom.ts";

/** Where the gateways are: behind the page's own address, unless the build was told otherwise. */
const url: string = import.meta.env.VITE_CHORUS_URL ?? new URL("/ws", location.href).href.replace(/^http/, "ws");

/** Your own server knows who is signed in, and gives that user's token. */
async function getToken(): Promise<string> {
  const answer = await fetch("/token");
  if (!answer.ok) throw new Error(`no token: ${answer.status}`);
  const { token } = (await answer.json()) as { token: string };
  return token;
}

export function App() {
  const { lines, waiting, status, send } = useRoom(url, "lobby", getToken);
  return (
    <main>
      <p role="status">{status}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send(String(new FormData(event.currentTarget).get("text")));
          event.currentTarget.reset();
        }}
      >
        <input name="text" aria-label="Message" autoComplete="off" required />
        <button>Send</button>
      </form>
      <ol>
        {lines.map(({ key, from, text }) => <li key={key}>{from}: {text}</li>)}
        {waiting.map(({ id, text }) => <li key={id}><i>{text} …</i></li>)}
      </ol>
    </main>
  );
}
