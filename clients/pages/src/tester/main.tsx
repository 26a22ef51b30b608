import { Page } from "../ui/Page.tsx";
import { start } from "../ui/start.tsx";
import { Tester } from "./Tester.tsx";

start(
  <Page current="tester" full>
    <Tester />
  </Page>,
);
