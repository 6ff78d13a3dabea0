// A person is asked by the TypeScript SDK of the second line, in the mode that the argument names: legacy or auto.
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { decide, NO, nobody, person, YES } from "./elicit.mjs";
import { server } from "./server.mjs";

const ERAS = { legacy: "2025-11-25", auto: "2026-07-28" };
const mode = process.argv[2];

async function at(capabilities, who, run) {
  const client = new Client({ name: "ts-v2", version: "1" }, { capabilities, versionNegotiation: { mode } });
  if (who) client.setRequestHandler("elicitation/create", async (request) => who.answer(request));
  await client.connect(new StdioClientTransport(server()));
  assert.equal(client.getNegotiatedProtocolVersion(), ERAS[mode]);
  const found = await run((name, args) => client.callTool({ name, arguments: args }), who);
  await client.close();
  return found;
}

const id = await at({ elicitation: { form: {} } }, person(NO, YES), decide);
await at({}, null, nobody);
console.log(`${ERAS[mode]}, asked: ${id} approved; not asked: told where to decide`);
