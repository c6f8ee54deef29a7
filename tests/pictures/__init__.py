"""The pictures of the README, taken of the product at work: ``python -m tests.pictures``.

Needs tmux (a terminal that can be read back), chromium (to draw) and pngquant (to make small); on Debian
``apt-get install tmux chromium pngquant fonts-dejavu``.
"""
