import { Page } from "../ui/Page.tsx";
import { start } from "../ui/start.tsx";

start(
  <Page current="cluster">
    <h1>Cluster</h1>
  </Page>,
);
