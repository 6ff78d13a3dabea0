"""An agent of pydantic-ai with a scripted model. It shows the structure of an answer, and the text of a refusal."""

import asyncio

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, RetryPromptPart, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from story import ARGS, COMMAND, Script

script = Script()
offered: set[str] = set()


def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    offered.update(tool.name for tool in info.function_tools)
    last = messages[-1].parts[-1]
    step = script.next(last.content if isinstance(last, (ToolReturnPart, RetryPromptPart)) else None)
    return ModelResponse([ToolCallPart(*step) if step else TextPart("done")])


async def main() -> None:
    agent = Agent(FunctionModel(model), toolsets=[MCPToolset(StdioTransport(COMMAND, ARGS))])
    async with agent:
        await agent.run("Do the work.")
    script.end(len(offered))


asyncio.run(main())
