// The TypeScript SDK of the first line, which knows only the era of the handshake.
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { loop } from "./loop.mjs";
import { server } from "./server.mjs";

const client = new Client({ name: "ts-v1", version: "1" });
await client.connect(new StdioClientTransport(server()));
assert.equal(client.getServerVersion().name, "workdocket");
const { tools } = await client.listTools();
const order = await loop((name, args) => client.callTool({ name, arguments: args }));
await client.close();
console.log(`${tools.length} tools, ${order} completed`);
