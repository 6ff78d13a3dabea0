// How the clients of this run come to the server: the words that start it, or the URL at which it listens.
import { strict as assert } from "node:assert";

const words = JSON.parse(process.env.INTEROP_SERVER ?? "[]");
export const url = process.env.INTEROP_URL;

export function server(...options) {
  const [command, ...args] = words;
  assert.ok(command, "INTEROP_SERVER names no command");
  return { command, args: [...args, ...options], stderr: "inherit" };
}
