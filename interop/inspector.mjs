// The Inspector's command line: inspector.mjs stdio|http|sse legacy|modern [whole]. The strict check of the tools'
// schemas, the lists, and a refusal; then the job, if wanted, with a process of the Inspector for every call.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { loop } from "./loop.mjs";
import { server, url } from "./server.mjs";

const REFUSED = 5;
const [transport, era, whole] = process.argv.slice(2);

function target() {
  if (transport === "http") return [`${url}/mcp`, "--transport", "http"];
  if (transport === "sse") return [`${url}/sse`, "--transport", "sse"];
  const { command, args } = server();
  return ["--", command, ...args];
}

function inspect(...options) {
  const asked = ["node_modules/.bin/mcp-inspector", "--cli", "--protocol-era", era, "--format", "json", ...options];
  const done = spawnSync(process.execPath, [...asked, ...target()], { encoding: "utf8", timeout: 60_000 });
  if (done.status !== 0 && done.status !== REFUSED) throw new Error(`exit ${done.status}\n${done.stdout}${done.stderr}`);
  const answer = JSON.parse(done.stdout);
  return { status: done.status, result: answer.result ?? answer };
}

const { tools } = inspect("--method", "tools/list", "--strict").result;
const { resourceTemplates } = inspect("--method", "resources/templates/list").result;
assert.ok(inspect("--method", "resources/list").result.resources);
const { prompts } = inspect("--method", "prompts/list").result;
assert.ok(tools.length > 0);

const call = (name, given) => {
  const called = inspect("--method", "tools/call", "--tool-name", name, "--tool-args-json", JSON.stringify(given));
  assert.equal(called.status === REFUSED, Boolean(called.result.isError));
  return called.result;
};
assert.ok(call("get_order", { order_id: "WO-404" }).isError);
const orders = whole ? await loop(call) : [];
const done = orders.length ? `; ${orders.join(" and ")} completed` : "";
const listed = `${tools.length} tools, ${resourceTemplates.length} templates, ${prompts.length} prompts`;
console.log(`strict: ${listed}; a refusal is exit ${REFUSED}${done}`);
