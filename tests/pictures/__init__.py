"""Take the screenshots of the documentation: ``python -m tests.pictures``.

Needs tmux (terminal capture), chromium (rendering) and pngquant (compression).  On Debian:
``apt-get install tmux chromium pngquant fonts-dejavu``.
"""
