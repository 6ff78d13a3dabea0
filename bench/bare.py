"""The least that the MCP SDK makes a server of: one tool, on standard input and output."""

from mcp.server import MCPServer

server = MCPServer("bare")


@server.tool()
async def echo(text: str) -> str:
    """Say it again."""
    return text


server.run()
