"""Configurations as people have them: other servers, settings of other tools, a layout of their own."""

from __future__ import annotations

CLAUDE_DESKTOP = """\
{
\t"globalShortcut": "Ctrl+Alt+Space",
\t"mcpServers": {
\t\t"filesystem": {
\t\t\t"command": "npx",
\t\t\t"args": ["-y", "@modelcontextprotocol/server-filesystem", "/home/zoë/Dokumente"]
\t\t},
\t\t"github": {"command": "docker", "args": ["run", "-i", "--rm", "ghcr.io/github/github-mcp-server"],
\t\t           "env": {"GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_0000"}}
\t},
\t"preferences": {"menuBarEnabled": false, "scale": 1.0, "big": 12345678901234567890}
}"""

CLAUDE_CODE = (
    '{"numStartups":41,"theme":"dark","projects":{"/home/me/shop":{"allowedTools":[],"hasTrustDialogAccepted":true,'
    '"mcpServers":{"workdocket":{"type":"stdio","command":"someone-else"}}}},'
    '"mcpServers":{"sentry":{"type":"http","url":"https://mcp.sentry.dev/mcp"}},"userID":"9f86d081"}\n'
)

CURSOR = """\
{
    // shared by the team, ask Łukasz before you change it
    "mcpServers": {
        "playwright": { "command": "npx", "args": ["@playwright/mcp@latest"] },

        "linear": {
            "url": "https://mcp.linear.app/mcp" // signs in by itself
        },
        /* off for now
        "figma": { "url": "http://127.0.0.1:3845/mcp" },
        */
    },
}
"""

VSCODE = """\
{
  // Use ${input:…} for what is secret.
  "inputs": [
    { "type": "promptString", "id": "key", "description": "API key", "password": true }
  ],
  "servers": {
    "perplexity": {
      "type": "stdio",
      "command": "npx",
      "args": ["-y", "server-perplexity-ask"],
      "env": { "PERPLEXITY_API_KEY": "${input:key}" }
    } // the only one
  }
}
"""

CODEX = """\
model = "gpt-5-codex"   # the big one
approval_policy = 'on-request'
notify = [
  "python3",
  "/home/me/notify.py",
]

[mcp_servers.docs]
command = "npx"
args = ["-y", "mcp-remote", "https://docs.example.com/mcp"]
env = { "LANG" = "C" }

# where I work
[projects."/home/me/thé shop"]
trust_level = "trusted"

[tui]
notifications = true
quote = \"\"\"
[mcp_servers.not_a_table]
\"\"\"
# the end
"""

GEMINI = """\
{
   "security": { "auth": { "selectedType": "oauth-personal" } },
   "mcpServers": {
   },
   "ui": { "theme": "GitHub", "footer": { "hideCWD": true } } // nested settings
}
"""

WINDSURF = """\
{
  "mcpServers": {
    "memory": {
      "command": "npx", "args": ["-y", "@modelcontextprotocol/server-memory"], "disabled": true
    }
  }
}

"""

ZED = """\
// Zed settings
//
// For information on how to configure Zed, see the Zed documentation.
{
  "theme": { "mode": "system", "light": "One Light", "dark": "One Dark", },
  "vim_mode": true,
  "languages": { "Python": { "tab_size": 4, "language_servers": ["ty", "!basedpyright", "..."] } },
  // "context_servers": {},
  "buffer_font_size": 15, // large
}
"""

CONFIGURATIONS = {
    "claude-desktop": CLAUDE_DESKTOP.encode().replace(b"\n", b"\r\n"),
    "claude-code": CLAUDE_CODE.encode(),
    "cursor": CURSOR.encode(),
    "vscode": b"\xef\xbb\xbf" + VSCODE.encode().replace(b"\n", b"\r\n"),
    "codex": CODEX.encode(),
    "gemini": GEMINI.encode(),
    "windsurf": WINDSURF.encode(),
    "zed": ZED.encode(),
}
"""What is in the user's file of each client."""
