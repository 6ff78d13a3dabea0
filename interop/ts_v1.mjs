// The TypeScript SDK of the first line, which knows only the era of the handshake: ts_v1.mjs stdio|http|sse
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { server, url } from "./server.mjs";
import { session } from "./session.mjs";

const TRANSPORTS = {
  stdio: () => new StdioClientTransport(server()),
  http: () => new StreamableHTTPClientTransport(new URL(`${url}/mcp`)),
  sse: () => new SSEClientTransport(new URL(`${url}/sse`)),
};

const client = new Client({ name: "ts-v1", version: "1" });
await client.connect(TRANSPORTS[process.argv[2]]());
assert.equal(client.getServerVersion().name, "workdocket");
const call = (name, args, timeout) => client.callTool({ name, arguments: args }, undefined, { timeout });
const watch = (uri, told) => {
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => told(params.uri));
  return client.subscribeResource({ uri });
};
await session(client, call, watch);
