// @vitest-environment happy-dom
/** The hooks on a real cluster: what components show is the log, and who goes is gone. */
import { act, render, screen } from "@testing-library/react";
import { connect, type Options } from "chorus-client";
import { ChatProvider, useRoom, useStatus } from "chorus-client/react";
import { type ReactNode, StrictMode } from "react";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import { PATIENCE } from "../patience.ts";
import { Stage } from "../stage.ts";

let stage: Stage;
beforeAll(async () => void (stage = await Stage.start({ origins: [location.origin] })));
afterAll(() => stage.close());

function Lines(): ReactNode {
  const { entries, send } = useRoom("react", { recent: 10 });
  return (
    <>
      <ol>{entries.map((entry) => <li key={entry.key}>{entry.kind === "message" && `${entry.from}: ${String(entry.data)} ${entry.state}`}</li>)}</ol>
      <button onClick={() => send("hello")}>send</button>
    </>
  );
}

const State = (): ReactNode => <output>{useStatus().state}</output>;

it("components show the log over a cut and a lost node, and leave when they go", async () => {
  const bob = connect(stage.url, { token: await stage.token("bob"), WebSocket });
  const room = bob.join("react");
  await room.send("before");

  const options: Options = { token: await stage.token("alice"), WebSocket };
  const { unmount } = render(
    <StrictMode>
      <ChatProvider url={stage.url} options={options}><State /><Lines /><Lines /></ChatProvider>
    </StrictMode>,
  );
  const until = (so: () => void) => act(() => vi.waitFor(so, { timeout: PATIENCE }));
  const shown = () => screen.getAllByRole("list").map((list) => [...list.children].map(({ textContent }) => textContent));
  await until(() => expect(shown()).toEqual([["bob: before sent"], ["bob: before sent"]]));
  // Two components, each mounted twice: one membership.
  await until(() => expect(room.presence.value.count).toBe(2));
  expect((await stage.log("react")).length).toBe(1);

  for (const fault of [() => stage.cut(), () => stage.kill(0), () => stage.start(0), () => stage.drain(1), () => stage.start(1)]) {
    await act(fault);
    act(() => screen.getAllByText("send")[0]!.click());
    await room.send("and you?");
  }
  await until(() => expect(screen.getByRole("status").textContent).toBe("connected"));
  const log = async () => (await stage.log("react")).map(({ from, data }) => `${from}: ${String(data)} sent`);
  await act(() => vi.waitFor(async () => expect(await log()).toHaveLength(11), { timeout: PATIENCE }));
  const truth = await log();
  await until(() => expect(shown()).toEqual([truth, truth]));

  unmount();
  await vi.waitFor(() => expect(room.presence.value.count).toBe(1), { timeout: PATIENCE });
  bob.close();
});
