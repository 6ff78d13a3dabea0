// The TypeScript SDK of the second line: ts_v2.mjs stdio|http|sse legacy|auto. In the mode auto it finds the new era.
import assert from "node:assert/strict";
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { server, url } from "./server.mjs";
import { session } from "./session.mjs";

const TRANSPORTS = {
  stdio: () => new StdioClientTransport(server()),
  http: () => new StreamableHTTPClientTransport(new URL(`${url}/mcp`)),
  sse: () => new SSEClientTransport(new URL(`${url}/sse`)),
};

const [transport, mode] = process.argv.slice(2);
const client = new Client({ name: "ts-v2", version: "1" }, { versionNegotiation: { mode } });
await client.connect(TRANSPORTS[transport]());
assert.equal(client.getServerVersion().name, "workdocket");
const call = (name, args, timeout) => client.callTool({ name, arguments: args }, { timeout });
const watch = (uri, told) => {
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => told(params.uri));
  return mode === "auto" ? client.listen({ resourceSubscriptions: [uri] }) : client.subscribeResource({ uri });
};
await session(client, call, watch);
