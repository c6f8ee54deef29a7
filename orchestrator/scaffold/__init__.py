"""Generate the first files of a project (manifests, workflows, Dockerfile) from a few answers.

``questions`` asks, ``detection`` derives default answers from the checkout, ``manifests`` and ``workflows`` render the
files.  The CLI decides which files to overwrite.
"""
