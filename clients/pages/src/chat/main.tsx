import { start } from "../ui/start.tsx";
import { App } from "./App.tsx";

start(<App />);
