"""The first files of a project: manifests, workflows, Dockerfile, out of a few answers.

``answers`` are the questions, ``manifests`` and ``workflows`` the texts, ``guess`` what a checkout already says.  May
not: decide what is written over; ``cli`` does.
"""
