// The Inspector's command line, in the era that the argument names: the strict check of the tools' schemas, then the
// loop, with a process of the Inspector and one of the server for every call.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { loop } from "./loop.mjs";
import { env, server } from "./server.mjs";

const REFUSED = 5;
const era = process.argv[2];
const { command, args } = server();
const target = [...Object.entries(env).flatMap(([name, value]) => ["-e", `${name}=${value}`]), "--", command, ...args];

function inspect(...options) {
  const asked = ["node_modules/.bin/mcp-inspector", "--cli", "--protocol-era", era, "--format", "json", ...options];
  const done = spawnSync(process.execPath, [...asked, ...target], { encoding: "utf8", timeout: 60_000 });
  if (done.status !== 0 && done.status !== REFUSED) throw new Error(`exit ${done.status}\n${done.stdout}${done.stderr}`);
  return { status: done.status, said: done.stderr, answer: JSON.parse(done.stdout) };
}

const listed = inspect("--method", "tools/list", "--strict");
const { tools } = listed.answer.result ?? listed.answer;
assert.ok(tools.length > 0);

const order = await loop((name, given) => {
  const called = inspect("--method", "tools/call", "--tool-name", name, "--tool-args-json", JSON.stringify(given));
  const result = called.answer.result ?? called.answer;
  assert.equal(called.status === REFUSED, Boolean(result.isError));
  return result;
});
console.log(`strict: ${tools.length} tools, ${order} completed`);
