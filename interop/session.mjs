// What every client of an SDK does in one session: it lists, gives up waiting, does the whole job, and closes.
import assert from "node:assert/strict";
import { loop } from "./loop.mjs";

const LONGEST_CLOSE = 2_000;

// `call(tool, arguments, timeout)` of a connected client.
export async function session(client, call) {
  const { tools } = await client.listTools();
  const { resources } = await client.listResources();
  const { prompts } = await client.listPrompts();

  // A wait that the client gives up takes nothing: the loop files the only item there is, and gets it.
  const waiting = call("checkout", { type: "test.echo", wait_seconds: 30 }, 300);
  await assert.rejects(waiting, /timed? ?out/i);
  const orders = await loop(call);

  const started = performance.now();
  await client.close();
  const lasted = Math.round(performance.now() - started);
  assert.ok(lasted < LONGEST_CLOSE, `closing took ${lasted} ms`);
  const listed = `${tools.length} tools, ${resources.length} resources, ${prompts.length} prompts`;
  console.log(`${listed}; ${orders.join(" and ")} completed; a wait given up; closed in ${lasted} ms`);
}
