// The whole job, from proposals to the diffs of their effects, through whatever `call(tool, arguments)` calls tools with.
import assert from "node:assert/strict";

export async function loop(call) {
  const ok = async (tool, args) => {
    const result = await call(tool, args);
    assert.ok(!result.isError, `${tool}: ${JSON.stringify(result.content)}`);
    assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent, `${tool}: text and structure differ`);
    return result.structuredContent;
  };

  const refused = async (code, tool, args) => {
    const result = await call(tool, args);
    assert.equal(result.isError, true);
    assert.equal(result.structuredContent.error.code, code);
    assert.ok(result.content[0].text.startsWith(`${code}: `));
    return result.structuredContent.error.details.findings.map((finding) => finding.code).sort();
  };

  const take = async (type, payload) => {
    const { order } = await ok("propose", { type, payload, priority: 5 });
    assert.equal(order.state, "queued");
    const { items } = await ok("checkout", { order_id: order.id });
    assert.equal(items.length, 1);
    return { order, item: items[0], held: { item_id: items[0].id, lease_token: items[0].lease.token } };
  };

  const decide = async (order) => {
    const packet = await ok("review", { order_id: order.id });
    assert.deepEqual(packet.findings, []);
    const approved = await ok("approve", { order_id: order.id, digest: packet.digest });
    assert.equal(approved.applied, true);
    const shown = await ok("get_order", { order_id: order.id });
    assert.equal(shown.order.state, "completed");
    return shown.diff;
  };

  const whole = await take("test.echo", { message: "ahoy" });
  const beat = await ok("heartbeat", { ...whole.held, progress: 0.5 });
  assert.equal(beat.order_state, "in_progress");
  assert.equal(beat.cancelled, false);
  const found = await refused("invalid_result", "submit", { ...whole.held, result: { message: 7 } });
  assert.deepEqual(found, ["required", "type"]);
  const submitted = await ok("submit", { ...whole.held, result: { message: "ahoy", verified: true } });
  assert.equal(submitted.order.state, "submitted");
  const diff = await decide(whole.order);
  assert.equal(diff.has_changes, true);
  assert.deepEqual(diff.after, { [whole.item.id]: "ahoy" });

  const split = await take("test.partial", {});
  const part = (part_key, payload) => ({ ...split.held, part_key, payload });
  assert.deepEqual(await refused("invalid_part", "submit_part", part("identity", { name: 7 })), ["type"]);
  await ok("submit_part", part("identity", { name: "Ann" }));
  const last = await ok("submit_part", part("contacts", { mail: "ann@example.org" }));
  assert.equal(last.parts.ready_to_finalize, true);
  const put = await ok("finalize", split.held);
  assert.equal(put.order.state, "submitted");
  assert.deepEqual((await decide(split.order)).after, [{ identity: { name: "Ann" }, contacts: { mail: "ann@example.org" } }]);
  return [whole.order.id, split.order.id];
}
