// The whole job, from a proposal to the diff of its effect, through whatever `call(tool, arguments)` calls tools with.
import assert from "node:assert/strict";

export async function loop(call) {
  const ok = async (tool, args) => {
    const result = await call(tool, args);
    assert.ok(!result.isError, `${tool}: ${JSON.stringify(result.content)}`);
    assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent, `${tool}: text and structure differ`);
    return result.structuredContent;
  };

  const { order } = await ok("propose", { type: "test.echo", payload: { message: "ahoy" }, priority: 5 });
  assert.equal(order.state, "queued");

  const { items } = await ok("checkout", { order_id: order.id });
  assert.equal(items.length, 1);
  const held = { item_id: items[0].id, lease_token: items[0].lease.token };

  const beat = await ok("heartbeat", { ...held, progress: 0.5 });
  assert.equal(beat.order_state, "in_progress");
  assert.equal(beat.cancelled, false);

  const refused = await call("submit", { ...held, result: { message: 7 } });
  assert.equal(refused.isError, true);
  assert.equal(refused.structuredContent.error.code, "invalid_result");
  const paths = refused.structuredContent.error.details.findings.map((finding) => finding.code).sort();
  assert.deepEqual(paths, ["required", "type"]);
  assert.match(refused.content[0].text, /^invalid_result: /);

  const submitted = await ok("submit", { ...held, result: { message: "ahoy", verified: true } });
  assert.equal(submitted.order.state, "submitted");

  const packet = await ok("review", { order_id: order.id });
  assert.deepEqual(packet.findings, []);

  const approved = await ok("approve", { order_id: order.id, digest: packet.digest });
  assert.equal(approved.applied, true);

  const shown = await ok("get_order", { order_id: order.id });
  assert.equal(shown.order.state, "completed");
  assert.equal(shown.diff.has_changes, true);
  assert.deepEqual(shown.diff.after, { [items[0].id]: "ahoy" });
  return order.id;
}
