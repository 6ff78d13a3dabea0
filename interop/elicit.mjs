// What a person in front of any client sees and decides: a yes that approves, a no that does not, and nobody to ask.
import assert from "node:assert/strict";

// How often the person was asked, and what was read. `answers` are given in turn.
export function person(...answers) {
  const read = [];
  return { read, answer: (request) => (read.push(request.params.message), answers[read.length - 1]) };
}

export const YES = { action: "accept", content: { approve: true, note: "read it" } };
export const NO = { action: "decline" };

// An order that only a person may approve, handed in and waiting.
export async function waiting(call) {
  const ok = async (name, args) => {
    const result = await call(name, args);
    assert.ok(!result.isError, JSON.stringify(result.content));
    return result.structuredContent;
  };
  const { order } = await ok("propose", { type: "test.human", payload: { message: "hi" } });
  const { items: [item] } = await ok("checkout", { order_id: order.id });
  const held = { item_id: item.id, lease_token: item.lease.token };
  await ok("submit", { ...held, result: { message: "hi", verified: true } });
  return order.id;
}

export async function decide(call, who) {
  const id = await waiting(call);
  const refused = await call("approve", { order_id: id });
  assert.equal(refused.structuredContent.error.code, "forbidden");
  assert.match(refused.structuredContent.error.message, /said no/);
  assert.equal((await call("get_order", { order_id: id })).structuredContent.order.state, "submitted");

  const approved = await call("approve", { order_id: id });
  assert.ok(!approved.isError, JSON.stringify(approved.content));
  assert.equal(approved.structuredContent.order.state, "completed");
  const { events: [decision] } = (await call("events", { order_id: id, event: "decision.recorded" })).structuredContent;
  assert.equal(decision.actor_type, "user");
  assert.equal(decision.message, "read it");
  assert.equal(decision.data.channel, "dialog");
  assert.equal(who.read.length, 2);
  assert.equal(who.read[0], who.read[1]);
  assert.match(who.read[0], new RegExp(`^Approve ${id} `));
  assert.match(who.read[0], new RegExp(`Digest: ${decision.data.digest}$`));
  return id;
}

export async function nobody(call) {
  const id = await waiting(call);
  const { structuredContent: { error } } = await call("approve", { order_id: id });
  assert.equal(error.code, "forbidden");
  assert.equal(error.details.command, `workdocket approve ${id}`);
  assert.equal((await call("get_order", { order_id: id })).structuredContent.order.state, "submitted");
}
