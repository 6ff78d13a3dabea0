"""An agent of openai-agents with a scripted model. It shows the model the text of an answer."""

import asyncio
import json
from typing import Any

from agents import Agent, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.mcp import MCPServerStdio
from agents.models.interface import Model
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from story import ARGS, COMMAND, Script


class Scripted(Model):
    def __init__(self, script: Script) -> None:
        self.script = script
        self.offered = 0

    async def get_response(self, *given: Any, **more: Any) -> ModelResponse:
        _, said, _, tools, *_ = [*given, *more.values()]
        self.offered = len(tools)
        output = said[-1].get("output") if isinstance(said, list) else None
        step = self.script.next(shown(output))
        if step is None:
            text = ResponseOutputText(text="done", type="output_text", annotations=[])
            made: Any = ResponseOutputMessage(
                id="end", content=[text], role="assistant", status="completed", type="message"
            )
        else:
            name, arguments = step
            made = ResponseFunctionToolCall(
                call_id=f"call-{self.script.calls}", name=name, arguments=json.dumps(arguments), type="function_call"
            )
        return ModelResponse([made], Usage(), None)

    def stream_response(self, *given: Any, **more: Any) -> Any:
        raise NotImplementedError


def shown(output: Any) -> Any:
    """A tool's answer as the model gets it: a text, or a list of them."""
    return output[0]["text"] if isinstance(output, list) else output


async def main() -> None:
    set_tracing_disabled(True)
    model = Scripted(Script())
    async with MCPServerStdio(params={"command": COMMAND, "args": ARGS}) as server:
        agent = Agent("worker", mcp_servers=[server], model=model)
        await Runner.run(agent, "Do the work.", max_turns=20)
    model.script.end(model.offered)


asyncio.run(main())
