"""Push or look up an unchanged image in a separate process: ``python -m tests.benchmarks.site.image FOLDER push|look``.

``push`` pushes an image under the tag of the folder's build; ``look`` reads it as a plan does.
"""

from __future__ import annotations

import sys
from pathlib import Path

from orchestrator.artefacts.images.build_inputs import Recipe, compute_tag
from orchestrator.aws import Clients, Reader
from orchestrator.demo import image_assembly
from orchestrator.resources import ecr_image
from orchestrator.vocabulary import Scope

SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")
REPOSITORY = "web"


def main(folder: str, action: str) -> None:
    clients = Clients(SCOPE.region)
    name = compute_tag(Recipe(Path(folder), Path(folder) / "Dockerfile"))
    if action == "push":
        clients.call("ecr", "create_repository", {"repositoryName": REPOSITORY})
        token = clients.call("ecr", "get_authorization_token", {})
        image_assembly.push_image(
            token, REPOSITORY, name, image_assembly.build_image([image_assembly.build_layer(Path(folder))], {})
        )
    spec = {"repository": REPOSITORY, "tag": name}
    sys.exit(ecr_image.read(Reader(clients), SCOPE, f"{REPOSITORY}:{name}", spec) is None)


if __name__ == "__main__":
    main(*sys.argv[1:])
