import { Page } from "../ui/Page.tsx";
import { start } from "../ui/start.tsx";

start(
  <Page current="tester">
    <h1>Tester</h1>
  </Page>,
);
