// The TypeScript SDK of the second line, in the mode that the argument names: legacy, or auto, which finds the new era.
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { loop } from "./loop.mjs";
import { server } from "./server.mjs";

const ERAS = { legacy: "2025-11-25", auto: "2026-07-28" };
const mode = process.argv[2];
const client = new Client({ name: "ts-v2", version: "1" }, { versionNegotiation: { mode } });
await client.connect(new StdioClientTransport(server()));
assert.equal(client.getNegotiatedProtocolVersion(), ERAS[mode]);
const { tools } = await client.listTools();
const order = await loop((name, args) => client.callTool({ name, arguments: args }));
await client.close();
console.log(`${ERAS[mode]}, ${tools.length} tools, ${order} completed`);
