import { Page } from "../ui/Page.tsx";
import { start } from "../ui/start.tsx";

start(
  <Page current="chat">
    <h1>Chat</h1>
  </Page>,
);
