import { start } from "../ui/start.tsx";
import { ClusterPage } from "./ClusterPage.tsx";
import { Watch } from "./watch.ts";

start(<ClusterPage watch={new Watch()} />);
