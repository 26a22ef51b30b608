import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { type ReactNode, StrictMode, useState, version } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { connect } from "../../src/index.ts";
import { ChatProvider, type RoomView, useChat, usePresence, useRoom, useStatus, useTyping } from "../../react/index.ts";
import { Server } from "./server.ts";

const URL = "ws://chat.test/ws";
let server: Server;

beforeEach(() => {
  vi.useFakeTimers();
  server = new Server();
});

afterEach(async () => {
  cleanup();
  // What is left shared ends with its last user.
  await pass(10_000);
  expect(server.open).toHaveLength(0);
  vi.useRealTimers();
});

/** Lets the socket answer, and the clock run. */
async function pass(ms = 0): Promise<void> {
  await act(() => vi.advanceTimersByTimeAsync(ms));
}

test("the React that is tested is the one that is meant", () => {
  expect(version.split(".")[0]).toBe(process.env.REACT);
});

function List({ view }: { view: RoomView }): ReactNode {
  return <ul>{view.entries.map((entry) => <li key={entry.key}>{entry.kind === "gap" ? "~" : `${entry.from}: ${String(entry.data)}`}</li>)}</ul>;
}

function Lobby({ recent = 0, name = "lobby" }: { recent?: number; name?: string }): ReactNode {
  const view = useRoom(name, { recent });
  return (
    <>
      <List view={view} />
      <button onClick={() => view.send("hello")}>send</button>
      <button onClick={() => void view.loadOlder()}>older</button>
      <output>{view.status.state}</output>
    </>
  );
}

function lines(): (string | null)[] {
  return screen.queryAllByRole("listitem").map((item) => item.textContent);
}

function Provider({ children }: { children?: ReactNode }): ReactNode {
  const [options] = useState(() => server.options());
  return <ChatProvider url={URL} options={options}>{children}</ChatProvider>;
}

describe.each([["", false], ["in Strict Mode, ", true]])("%s", (_, strict) => {
  const show = (children: ReactNode) => render(strict ? <StrictMode>{children}</StrictMode> : children);

  test("a room is shown, sent to and left", async () => {
    for (const data of ["1", "2", "3"]) server.say(data);
    const { unmount } = show(<Provider><Lobby recent={2} /></Provider>);
    await pass();
    expect(lines()).toEqual(["bob: 2", "bob: 3"]);
    expect(screen.getByRole("status").textContent).toBe("joined");

    act(() => void server.say("4"));
    fireEvent.click(screen.getByText("send"));
    expect(lines()).toEqual(["bob: 2", "bob: 3", "bob: 4", "alice: hello"]);
    await pass();
    expect(lines()).toEqual(["bob: 2", "bob: 3", "bob: 4", "alice: hello"]);
    fireEvent.click(screen.getByText("older"));
    await pass();
    expect(lines()[0]).toBe("bob: 1");

    unmount();
    expect(server.heard("leave")).toHaveLength(0);
    await pass(2_000);
    expect(server.heard("leave")).toHaveLength(1);
    await pass(10_000);
    expect(server.open).toHaveLength(0);
    expect(server.sockets).toHaveLength(1);
    expect(server.heard("join")).toHaveLength(1);
  });

  test("any number of components have one socket and one membership", async () => {
    const Name = () => <p>{useChat()?.user}</p>;
    const Count = () => <p>{usePresence("lobby").count} here</p>;
    show(<Provider><Name /><Count /><Lobby /><Lobby /><Lobby name="garden" /></Provider>);
    await pass();
    expect(server.sockets).toHaveLength(1);
    expect(server.heard("join").map(({ room }) => room)).toEqual(["lobby", "garden"]);
    expect(screen.getByText("1 here")).toBeTruthy();
    act(() => void server.say("x"));
    expect(lines()).toEqual(["bob: x", "bob: x"]);
  });
});

describe("a connection", () => {
  test("is made when a room is shown, and not before", async () => {
    const State = () => <p>{useStatus().state}</p>;
    const { rerender } = render(<Provider><State /></Provider>);
    await pass(1_000);
    expect(server.sockets).toHaveLength(0);
    expect(screen.getByText("idle")).toBeTruthy();
    rerender(<Provider><State /><Lobby /></Provider>);
    await pass();
    expect(screen.getByText("connected")).toBeTruthy();
  });

  test("without a provider is shared by url and options", async () => {
    const options = server.options();
    const Own = ({ own = options }) => {
      const chat = useChat(URL, own);
      return <><List view={useRoom("lobby", { chat })} /><i>{useStatus(chat).state}</i></>;
    };
    render(<><Own /><Own /></>);
    await pass();
    expect(server.sockets).toHaveLength(1);
    expect(screen.getAllByText("connected")).toHaveLength(2);
    render(<Own own={server.options()} />);
    await pass();
    expect(server.sockets).toHaveLength(2);
  });

  test("stays when options that are written in place say the same, and is another when they do not", async () => {
    const common = server.options();
    const App = ({ token }: { token: string }) => (
      <ChatProvider url={URL} options={{ ...common, token, getToken: () => token, queue: { messages: 5 } }}><Lobby /></ChatProvider>
    );
    const { rerender } = render(<App token="alice" />);
    await pass();
    rerender(<App token="alice" />);
    await pass(5_000);
    expect(server.sockets).toHaveLength(1);
    rerender(<App token="carol" />);
    await pass(10_000);
    expect(server.sockets).toHaveLength(2);
    expect(server.open).toHaveLength(1);
    expect(server.heard("auth").map(({ token }) => token)).toEqual(["alice", "carol"]);
  });

  test("that the application made is its own to close, and so are its rooms", async () => {
    const chat = connect(URL, server.options());
    const room = chat.join("lobby");
    const { unmount } = render(<ChatProvider chat={chat}><Lobby /></ChatProvider>);
    await pass();
    act(() => void server.say("x"));
    expect(lines()).toEqual(["bob: x"]);
    unmount();
    await pass(10_000);
    expect(room.status.value.state).toBe("joined");
    chat.close();
    expect(server.open).toHaveLength(0);
  });

  test("outlives its last component until what was sent has arrived", async () => {
    server.deafTo = "message";
    const { unmount } = render(<Provider><Lobby /></Provider>);
    await pass();
    fireEvent.click(screen.getByText("send"));
    unmount();
    await pass(20_000);
    expect(server.heard("leave")).toHaveLength(0);
    const [message] = server.heard("message");
    act(() => void server.say(message?.data, "alice", message?.id));
    await pass(10_000);
    expect(server.heard("leave")).toHaveLength(1);
    expect(server.open).toHaveLength(0);
  });

  test("survives a change of pages", async () => {
    const { rerender } = render(<Provider><Lobby key="a" /></Provider>);
    await pass();
    rerender(<Provider />);
    await pass(500);
    rerender(<Provider><Lobby key="b" /></Provider>);
    await pass(10_000);
    expect(server.sockets).toHaveLength(1);
    expect(server.heard("join")).toHaveLength(1);
    expect(server.heard("leave")).toHaveLength(0);
  });
});

describe("a room", () => {
  test("shows as much as the component that wants most", async () => {
    for (let n = 1; n <= 5; n++) server.say(n);
    render(<Provider><Lobby recent={1} /><Lobby recent={4} /></Provider>);
    await pass();
    expect(lines()).toEqual([2, 3, 4, 5, 2, 3, 4, 5].map((n) => `bob: ${n}`));
  });

  test("that is another one by its name is left for it", async () => {
    const { rerender } = render(<Provider><Lobby /></Provider>);
    await pass();
    act(() => void server.say("x"));
    rerender(<Provider><Lobby name="garden" /></Provider>);
    expect(lines()).toEqual([]);
    await pass(5_000);
    expect(server.heard("leave").map(({ room }) => room)).toEqual(["lobby"]);
    expect([...server.open[0]!.rooms]).toEqual(["garden"]);
  });

  test("tells who is there and who types", async () => {
    const Company = () => {
      const { room } = useRoom("lobby");
      const { typing, type } = useTyping(room);
      return <><p>{usePresence(room).members?.map(({ user }) => user).join()}</p><i>{typing.join()}</i><button onClick={() => type()}>type</button></>;
    };
    render(<Provider><Company /></Provider>);
    await pass();
    act(() => server.tell({ type: "presence", room: "lobby", joined: [{ user: "bob" }], left: [], count: 2 }));
    act(() => server.tell({ type: "typing", room: "lobby", from: "bob", on: true }));
    expect(screen.getByText("alice,bob")).toBeTruthy();
    expect(screen.getByText("bob")).toBeTruthy();
    fireEvent.click(screen.getByText("type"));
    await pass();
    expect(server.heard("typing")).toMatchObject([{ on: true }]);
  });

  test("gives functions that stay the same", async () => {
    const seen = new Set<unknown>();
    const Probe = () => {
      const { send, loadOlder, room } = useRoom("lobby");
      if (room) seen.add(send).add(loadOlder);
      return null;
    };
    render(<Provider><Probe /></Provider>);
    await pass();
    act(() => void server.say("x"));
    expect(seen.size).toBe(2);
  });
});

test("a hook without a provider says what is missing", () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  expect(() => render(<Lobby />)).toThrow("ChatProvider");
  vi.restoreAllMocks();
});

test("a server renders the empty room, and connects to nothing", () => {
  expect(renderToString(<Provider><Lobby recent={5} /></Provider>)).toContain("joining");
  expect(server.sockets).toHaveLength(0);
});
