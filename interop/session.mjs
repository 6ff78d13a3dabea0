// What every client of an SDK does in one session: it lists, gives up waiting, does the whole job, is told of a change,
// and closes.
import assert from "node:assert/strict";
import { setTimeout as after } from "node:timers/promises";
import { loop } from "./loop.mjs";

const LONGEST_CLOSE = 2_000;
const LONGEST_NOTICE = 5_000;

// `call(tool, arguments, timeout)` and `watch(uri, told)` of a connected client.
export async function session(client, call, watch) {
  const { tools } = await client.listTools();
  const { resourceTemplates } = await client.listResourceTemplates();
  const { prompts } = await client.listPrompts();

  // A wait that the client gives up takes nothing: the loop files the only item there is, and gets it.
  const waiting = call("checkout", { type: "test.echo", wait_seconds: 30 }, 300);
  await assert.rejects(waiting, /timed? ?out/i);
  const orders = await loop(call);

  const { order } = (await call("propose", { type: "test.free", payload: {} })).structuredContent;
  const uri = `workdocket://orders/${order.id}`;
  const { promise, resolve } = Promise.withResolvers();
  await watch(uri, resolve);
  await call("cancel", { order_id: order.id });
  assert.equal(await Promise.race([promise, after(LONGEST_NOTICE, "nothing", { ref: false })]), uri);
  const { contents } = await client.readResource({ uri });
  assert.equal(JSON.parse(contents[0].text).order.state, "cancelled");

  const started = performance.now();
  await client.close();
  const lasted = Math.round(performance.now() - started);
  assert.ok(lasted < LONGEST_CLOSE, `closing took ${lasted} ms`);
  const listed = `${tools.length} tools, ${resourceTemplates.length} templates, ${prompts.length} prompts`;
  console.log(`${listed}; ${orders.join(" and ")} completed; a wait given up; told of a change; closed in ${lasted} ms`);
}
