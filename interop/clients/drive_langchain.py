"""An agent of LangChain with a scripted model. Its adapters start a server for every call, and show the text."""

import asyncio
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_mcp_adapters.client import MultiServerMCPClient
from story import ARGS, COMMAND, Script

script = Script()


class Scripted(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *given: Any, **more: Any) -> ChatResult:
        last = messages[-1]
        step = script.next(last.content if isinstance(last, ToolMessage) else None)
        calls = [{"name": step[0], "args": step[1], "id": f"call-{script.calls}"}] if step else []
        return ChatResult(generations=[ChatGeneration(message=AIMessage("" if calls else "done", tool_calls=calls))])


async def main() -> None:
    client = MultiServerMCPClient({"workdocket": {"transport": "stdio", "command": COMMAND, "args": ARGS}})
    tools = await client.get_tools()
    agent = create_agent(Scripted(), tools)
    await agent.ainvoke({"messages": [("user", "Do the work.")]}, {"recursion_limit": 40})
    script.end(len(tools))


asyncio.run(main())
