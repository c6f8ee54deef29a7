"""``orchestrator mcp``: let a coding agent ask about the project.  API: the Model Context Protocol, over stdio."""

from __future__ import annotations

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings

INSTRUCTIONS = (
    "These tools are read-only: they change neither the manifests nor AWS. To change anything, edit the manifests, "
    "check them with "
    "`validate`, look at `plan`, and open a pull request."
)


@cli_command("mcp", "orchestrator mcp -f manifests", "claude mcp add orchestrator -- orchestrator mcp", streams=True)
@common_options
def command(settings: Settings) -> None:
    """Give a coding agent read-only access to the project.

    Uses the Model Context Protocol over stdin and stdout. The tools are read-only: validate, explain, render, plan,
    drift, status, releases, cost, outlook, graph. The tools read AWS with the credentials of this process; use those of
    the plan role. To make changes, open a pull request.
    """
    import orchestrator
    from orchestrator.problems import Problems
    from orchestrator.runs.agent_tools import AgentTools

    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.types import ToolAnnotations
    except ImportError as error:
        raise Problems.from_missing_extra("the MCP server", "mcp", error.name) from None

    server = MCPServer("orchestrator", instructions=INSTRUCTIONS, version=orchestrator.__version__, log_level="ERROR")
    tools = AgentTools(settings.manifests)
    for tool in (
        tools.validate,
        tools.explain,
        tools.render,
        tools.plan,
        tools.drift,
        tools.status,
        tools.releases,
        tools.cost,
        tools.outlook,
        tools.graph,
    ):
        hints = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True)
        server.tool(annotations=hints, structured_output=False)(tool)
    server.run("stdio")
