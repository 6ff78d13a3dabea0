"""The client of fastmcp, over the transport that the argument names."""

import asyncio
import sys

from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from story import ARGS, COMMAND, URL, Script

TRANSPORTS = {
    "stdio": lambda: StdioTransport(COMMAND, ARGS),
    "http": lambda: StreamableHttpTransport(f"{URL}/mcp"),
    "sse": lambda: SSETransport(f"{URL}/sse"),
}


async def main(transport: str) -> None:
    script = Script()
    async with Client(TRANSPORTS[transport]()) as client:
        tools = await client.list_tools()
        shown = None
        while step := script.next(shown):
            result = await client.call_tool(*step, raise_on_error=False)
            shown = result.content[0].text if result.is_error else result.structured_content
    script.end(len(tools))


asyncio.run(main(sys.argv[1]))
