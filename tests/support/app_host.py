"""A host that shows MCP Apps, in real Chromium: a page that speaks the bridge, and a real MCP client behind it."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from mcp import Client
from playwright.async_api import Frame, Page, Route, async_playwright

from tests.support.harness import LIMIT

AT = "http://host.test/"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
"""What the specification has hosts impose on a page that asks for nothing."""

HOST = """<!doctype html><title>host</title><style>iframe { width: 100%; border: 0; height: 900px; }</style><script>
const given = GIVEN;
window.heard = [];
addEventListener("message", async ({ source, data }) => {
  const frame = document.querySelector("iframe");
  if (source !== frame.contentWindow) { heard.push({ foreign: data }); return; }
  heard.push(data);
  const send = (message) => frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
  if (data.method === "ui/initialize") send({ id: data.id, result: given.initialize });
  if (data.method === "ui/notifications/initialized") {
    send({ method: "ui/notifications/tool-input", params: { arguments: given.arguments } });
    send({ method: "ui/notifications/tool-result", params: given.result });
  }
  if (data.method === "tools/call") send({ id: data.id, result: await callTool(data.params) });
  if (data.method === "ui/update-model-context") send({ id: data.id, error: { code: -32601, message: "not here" } });
});
window.tell = (message) =>
  document.querySelector("iframe").contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
</script><iframe sandbox="allow-scripts"></iframe>
<script>document.querySelector("iframe").srcdoc = given.html</script>"""


@dataclass
class Shown:
    """The page inside its host, and what went between the two."""

    page: Page
    frame: Frame
    calls: list[dict[str, Any]] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    """Requests to a network, dialogs, and what the console complains of."""

    async def heard(self, method: str) -> list[dict[str, Any]]:
        return [one for one in await self.page.evaluate("heard") if one.get("method") == method]

    async def text(self) -> str:
        return await self.frame.inner_text("body")

    async def press(self, button: str) -> None:
        await self.frame.get_by_role("button", name=button).click()

    async def says(self, words: str) -> None:
        """The status says it, before long."""
        await self.frame.wait_for_function(
            "words => document.getElementById('status').textContent.includes(words)", arg=words
        )


def script_safe(value: Any) -> str:
    return json.dumps(value).replace("<", "\\u003c")


@asynccontextmanager
async def shown(
    client: Client, arguments: dict[str, Any], *, capable: bool = True, result: Any = None, **context: Any
) -> AsyncIterator[Shown]:
    """The page that the client's server shows with ``review``, given what the server answers."""
    [tool] = [one for one in (await client.list_tools()).tools if one.name == "review"]
    assert tool.meta is not None
    [page_read] = (await client.read_resource(tool.meta["ui"]["resourceUri"])).contents
    answer = result or (await client.call_tool("review", arguments)).model_dump(mode="json", by_alias=True)
    given = {
        "html": page_read.text,  # type: ignore[union-attr]
        "arguments": arguments,
        "result": answer,
        "initialize": {
            "protocolVersion": "2026-01-26",
            "hostInfo": {"name": "host", "version": "1"},
            "hostCapabilities": {"serverTools": {}} if capable else {},
            "hostContext": context,
        },
    }
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 800, "height": 950})
        page.set_default_timeout(LIMIT * 1000)
        seen = Shown(page, page.main_frame)

        async def answer_request(route: Route) -> None:
            if route.request.url == AT:
                body = HOST.replace("GIVEN", script_safe(given))
                headers = {"Content-Security-Policy": POLICY + "; frame-src 'self'"}
                await route.fulfill(body=body, content_type="text/html", headers=headers)
                return
            seen.trouble.append(route.request.url)
            await route.abort()

        async def call_tool(params: dict[str, Any]) -> Any:
            seen.calls.append(params)
            made = await client.call_tool(params["name"], params["arguments"])
            return made.model_dump(mode="json", by_alias=True, exclude_none=True)

        async def dismiss(dialog: Any) -> None:
            seen.trouble.append(dialog.message)
            await dialog.dismiss()

        page.on("dialog", dismiss)
        page.on("console", lambda said: seen.trouble.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: seen.trouble.append(str(error)))
        await page.expose_function("callTool", call_tool)
        await page.route("**/*", answer_request)
        await page.goto(AT)
        [seen.frame] = page.main_frame.child_frames
        await seen.frame.wait_for_selector("main h1, main p.bad")
        yield seen
        await browser.close()
