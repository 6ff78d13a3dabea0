"""What the conformance suite calls by name: tools, resources and prompts that are no part of the product."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Annotated, Any

import anyio
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Message, UserMessage
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

BEAT = 0.05


def _png() -> bytes:
    """One red pixel."""
    chunks = [
        (b"IHDR", struct.pack(">2I5B", 1, 1, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0\xff\0\0")),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _wav() -> bytes:
    """One sample of silence."""
    form = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", 1) + b"\x80\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body


PNG = _png()
IMAGE = ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")
AUDIO = AudioContent(type="audio", data=base64.b64encode(_wav()).decode(), mime_type="audio/wav")

everything = MCPServer("everything")
tool = everything.tool(structured_output=False)


def text(words: str) -> TextContent:
    return TextContent(type="text", text=words)


def embedded(uri: str, mime: str, words: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime, text=words))


# contents


@tool
def test_simple_text() -> str:
    """Text."""
    return "This is a simple text response for testing."


@tool
def test_image_content() -> list[ImageContent]:
    """An image."""
    return [IMAGE]


@tool
def test_audio_content() -> list[AudioContent]:
    """A sound."""
    return [AUDIO]


@tool
def test_embedded_resource() -> list[EmbeddedResource]:
    """A resource within the answer."""
    return [embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]


@tool
def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    """Text, image and resource."""
    data = embedded("test://mixed-content-resource", "application/json", json.dumps({"test": "data", "value": 123}))
    return [text("Multiple content types test:"), IMAGE, data]


@tool
def test_error_handling() -> str:
    """Fails."""
    raise ToolError("This tool intentionally returns an error for testing")


@tool
def test_custom_header(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """Takes an argument that clients send as a header too."""
    return region


# while it runs


@tool
async def test_tool_with_logging(ctx: Context[None, Any]) -> str:
    """Says three things on the way."""
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await _log(ctx, words)
        await anyio.sleep(BEAT)
    return "done"


@tool
async def test_logging_tool(ctx: Context[None, Any]) -> str:
    """Says one thing to those who asked for it."""
    await _log(ctx, "working")
    return "done"


async def _log(ctx: Context[None, Any], words: str) -> None:
    await ctx.session.send_log_message("info", words, related_request_id=ctx.request_id)


@tool
async def test_tool_with_progress(ctx: Context[None, Any]) -> str:
    """Tells how far it is."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
        await anyio.sleep(BEAT)
    return "done"


@tool
async def test_reconnection(ctx: Context[None, Any]) -> str:
    """Closes its stream before it answers."""
    await ctx.close_sse_stream()
    await anyio.sleep(2 * BEAT)
    return "done"


# asking, in the era of the handshake

STRING = {"type": "string"}


@tool
async def test_sampling(prompt: str, ctx: Context[None, Any]) -> str:
    """Asks the client's model."""
    asked = [SamplingMessage(role="user", content=text(prompt))]
    answer = await ctx.session.create_message(asked, max_tokens=100, related_request_id=ctx.request_id)
    return f"LLM response: {_words(answer)}"


@tool
async def test_elicitation(message: str, ctx: Context[None, Any]) -> str:
    """Asks the person at the client."""
    return f"User response: {await _elicited(ctx, message, username=STRING, email=STRING)}"


@tool
async def test_elicitation_sep1034_defaults(ctx: Context[None, Any]) -> str:
    """Asks with a default for everything."""
    answer = await _elicited(
        ctx,
        "Please check what is filled in.",
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )
    return f"Elicitation completed: {answer}"


@tool
async def test_elicitation_sep1330_enums(ctx: Context[None, Any]) -> str:
    """Asks with every kind of choice."""
    plain = ["option1", "option2", "option3"]
    titled = [
        {"const": f"value{n}", "title": f"{word} Option"} for n, word in ((1, "First"), (2, "Second"), (3, "Third"))
    ]
    answer = await _elicited(
        ctx,
        "Please choose.",
        untitledSingle={"type": "string", "enum": plain},
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum={
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        untitledMulti={"type": "array", "items": {"type": "string", "enum": plain}},
        titledMulti={"type": "array", "items": {"anyOf": titled}},
    )
    return f"Elicitation completed: {answer}"


async def _elicited(ctx: Context[None, Any], message: str, **properties: Any) -> str:
    schema = {"type": "object", "properties": properties, "required": []}
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"action={answer.action}, content={json.dumps(answer.content)}"


def _words(answer: CreateMessageResult) -> str:
    return answer.content.text if isinstance(answer.content, TextContent) else ""


# asking, in the era without sessions: the question is the result, and the call comes again with the answer

Answer = str | InputRequiredResult


def form(message: str, **properties: str) -> ElicitRequest:
    kinds = {name: {"type": kind} for name, kind in properties.items()}
    schema: Any = {"type": "object", "properties": kinds, "required": list(properties)}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(words: str, most: int = 100) -> CreateMessageRequest:
    asked = [SamplingMessage(role="user", content=text(words))]
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=asked, max_tokens=most))


def given(ctx: Context[None, Any], name: str) -> Any:
    """What the client answered to a question: the fields of a form, the words of a model, or roots."""
    answer = (ctx.input_responses or {}).get(name)
    if isinstance(answer, ElicitResult):
        return answer.content or None
    if isinstance(answer, CreateMessageResult):
        return _words(answer)
    return answer.roots if isinstance(answer, ListRootsResult) else None


def ask(state: str | None = None, **requests: Any) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests or None, request_state=state)


WHO = "What is your name?"


@tool
async def test_input_required_result_elicitation(ctx: Context[None, Any]) -> Answer:
    """Asks a person."""
    name = given(ctx, "user_name")
    return f"Hello, {name['name']}!" if name else ask(user_name=form(WHO, name="string"))


@tool
async def test_input_required_result_sampling(ctx: Context[None, Any]) -> Answer:
    """Asks a model."""
    return given(ctx, "capital_question") or ask(capital_question=sample("What is the capital of France?"))


@tool
async def test_input_required_result_list_roots(ctx: Context[None, Any]) -> Answer:
    """Asks for the roots."""
    roots = given(ctx, "client_roots")
    return ask(client_roots=ListRootsRequest()) if roots is None else " ".join(str(root.uri) for root in roots)


@tool
async def test_input_required_result_request_state(ctx: Context[None, Any]) -> Answer:
    """Keeps its state with the client."""
    if given(ctx, "confirm") and ctx.request_state == "asked":
        return "state-ok"
    return ask("asked", confirm=form("Please confirm", ok="boolean"))


@tool
async def test_input_required_result_multiple_inputs(ctx: Context[None, Any]) -> Answer:
    """Asks three at once."""
    asked = {
        "user_name": form(WHO, name="string"),
        "greeting": sample("Generate a greeting", 50),
        "client_roots": ListRootsRequest(),
    }
    if ctx.request_state == "asked" and all(given(ctx, name) is not None for name in asked):
        return f"{given(ctx, 'greeting')} {given(ctx, 'user_name')['name']}"
    return ask("asked", **asked)


@tool
async def test_input_required_result_multi_round(ctx: Context[None, Any]) -> Answer:
    """Asks twice, one after the other."""
    state = json.loads(ctx.request_state or "{}")
    name = state.get("name") or (given(ctx, "step1") or {}).get("name")
    if not name:
        return ask("{}", step1=form("Step 1: What is your name?", name="string"))
    color = given(ctx, "step2")
    if not color:
        return ask(json.dumps({"name": name}), step2=form("Step 2: What is your favorite color?", color="string"))
    return f"{name} likes {color['color']}"


@tool
async def test_input_required_result_tampered_state(ctx: Context[None, Any]) -> Answer:
    """Keeps a state with the client that must come back as it was."""
    return "state-ok" if ctx.request_state else ask("asked", confirm=form("Please confirm", ok="boolean"))


@tool
async def test_input_required_result_capabilities(ctx: Context[None, Any]) -> Answer:
    """Asks what the client can answer."""
    able = ctx.client_capabilities
    asked: dict[str, Any] = {}
    if able and able.sampling is not None:
        asked["greeting"] = sample("Generate a greeting")
    if able and able.elicitation is not None:
        asked["user_name"] = form(WHO, name="string")
    return ask(**asked) if asked and not ctx.input_responses else "done"


@tool
async def test_missing_capability(ctx: Context[None, Any]) -> str:
    """Needs a model at the client."""
    able = ctx.client_capabilities
    if able is None or able.sampling is None:
        needed: Any = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "this tool needs sampling", needed)
    return "done"


@tool
async def test_streaming_elicitation(ctx: Context[None, Any]) -> Answer:
    """Asks after a while."""
    await ctx.report_progress(1, 2)
    return "done" if given(ctx, "user_name") else ask(user_name=form(WHO, name="string"))


# schemas


def json_schema_2020_12_tool() -> str:
    """Has a schema with much of the vocabulary."""
    return "done"


VOCABULARY = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {"street": STRING, "city": STRING}}},
    "properties": {
        "name": STRING,
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": STRING,
        "email": STRING,
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
everything.add_tool(json_schema_2020_12_tool, structured_output=False)
_with_vocabulary = everything._tool_manager.get_tool("json_schema_2020_12_tool")
assert isinstance(_with_vocabulary, Tool)
_with_vocabulary.parameters = VOCABULARY


# resources


@everything.resource("test://static-text", mime_type="text/plain")
def static_text() -> str:
    """Text."""
    return "This is the content of the static text resource."


@everything.resource("test://static-binary", mime_type="image/png")
def static_binary() -> bytes:
    """An image."""
    return PNG


@everything.resource("test://template/{id}/data", mime_type="application/json")
def template(id: str) -> str:
    """Whatever is asked for."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


@everything.resource("test://watched-resource", mime_type="text/plain")
def watched() -> str:
    """Text that may be watched."""
    return "Watched resource content"


# prompts


@everything.prompt()
def test_simple_prompt() -> str:
    """A prompt."""
    return "This is a simple prompt for testing."


@everything.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt about two things."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@everything.prompt()
def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:  # noqa: N803
    """A prompt with a resource in it."""
    inside = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [UserMessage(inside), UserMessage("Please process the embedded resource above.")]


@everything.prompt()
def test_prompt_with_image() -> list[Message]:
    """A prompt with an image in it."""
    return [UserMessage(IMAGE), UserMessage("Please analyze the image above.")]


@everything.prompt()
async def test_input_required_result_prompt(ctx: Context[None, Any]) -> list[Message] | InputRequiredResult:
    """A prompt that asks first."""
    about = given(ctx, "user_context")
    if not about:
        return ask(user_context=form("What context should the prompt use?", context="string"))
    return [UserMessage(f"Use this context: {about['context']}")]
