"""Generate the first files of a project (manifests, workflows, Dockerfile) from a few answers.

``detection`` finds what the checkout contains and derives default answers, ``questions`` asks, ``project_files`` puts
the files together, and ``file_writer`` writes those that do not exist.
"""
