"""``orchestrator graph``: draw which component needs which."""

from __future__ import annotations

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import format_option, project_options
from orchestrator.runs.settings import Settings


@cli_command("graph", "orchestrator graph", "orchestrator graph --format svg > graph.svg")
@format_option("mermaid", "svg", "dot", "json", help_text="Format of the graph.")
@project_options
def command(settings: Settings, output_format: str) -> None:
    """Draw the dependencies between components.

    Each arrow points from a component to a component that it depends on. Works offline and without AWS credentials.
    """
    from orchestrator import canonical_json
    from orchestrator.planning import pipeline
    from orchestrator.render import component_graph, graph_svg

    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    components = component_graph.list_components(desired)
    edges = component_graph.list_edges(desired)
    match output_format:
        case "json":
            text = canonical_json.dump(component_graph.ComponentGraph(tuple(components), tuple(edges))).decode()
        case "svg":
            text = graph_svg.render_svg(components, edges)
        case "dot":
            text = component_graph.render_dot(components, edges)
        case _:
            text = component_graph.render_mermaid(components, edges)
    settings.terminal.print_out(text)
