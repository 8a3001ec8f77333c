import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = "http://127.0.0.1:8000";

export default defineConfig({
  base: "/web/",
  plugins: [react()],
  server: {
    proxy: { "/v1": server, "/ready": server },
    fs: { allow: [".", "../../medtune"] }, // for disclaimer.py
  },
  test: { environment: "happy-dom" },
});
