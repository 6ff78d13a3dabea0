// What the list of tools costs an agent: the tokens of its bytes as the server sends them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { server } from "./server.mjs";

const [limit, ...roles] = process.argv.slice(2);

const { command, args } = server(...roles.flatMap((role) => ["--role", role]));
const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);

send({
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "tokens", version: "1" } },
});
await lines.next();
send({ method: "notifications/initialized" });
send({ id: 2, method: "tools/list" });
const sent = (await lines.next()).value;
child.stdin.end();
await once(child, "exit");

const list = sent.slice(sent.indexOf('"result":') + '"result":'.length, -1);
const tokens = countTokens(list);
console.log(`${tokens} of ${limit} tokens, ${JSON.parse(list).tools.length} tools`);
process.exit(tokens <= Number(limit) ? 0 : 1);
