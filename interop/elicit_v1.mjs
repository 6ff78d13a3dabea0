// A person is asked by the TypeScript SDK of the first line: a dialog of today, one of old, one for addresses, and none.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { decide, NO, nobody, person, YES } from "./elicit.mjs";
import { server } from "./server.mjs";

async function at(capabilities, who, run) {
  const client = new Client({ name: "ts-v1", version: "1" }, { capabilities });
  if (who) client.setRequestHandler(ElicitRequestSchema, async (request) => who.answer(request));
  await client.connect(new StdioClientTransport(server()));
  const found = await run((name, args) => client.callTool({ name, arguments: args }), who);
  await client.close();
  return found;
}

const ids = [];
for (const dialog of [{ form: {} }, {}]) ids.push(await at({ elicitation: dialog }, person(NO, YES), decide));
for (const capabilities of [{ elicitation: { url: {} } }, {}]) await at(capabilities, null, nobody);
console.log(`asked: ${ids.join(", ")} approved; not asked: told where to decide`);
