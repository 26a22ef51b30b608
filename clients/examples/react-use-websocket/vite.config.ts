import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The gateway that `npm run dev` speaks to: `cargo run --release` is one. */
const gateway = process.env.CHORUS_GATEWAY ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  server: {
    proxy: {
      "/ws": { target: gateway, ws: true },
      // In development, a gateway gives guests a token. In production this is a path of your own, for whoever is signed in.
      "/token": { target: gateway, changeOrigin: true, rewrite: () => `/dev/token?user=guest-${process.pid}` },
    },
  },
});
