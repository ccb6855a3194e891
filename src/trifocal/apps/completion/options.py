"""The options of `trifocal completion`."""

from __future__ import annotations

from trifocal.apps.parser import Parser

ABOUT = "Print what makes a shell complete commands, options and names when Tab is pressed."
EXAMPLES = """\
for the shell that runs now:
  eval "$(trifocal completion bash)"
  eval "$(trifocal completion zsh)"
  trifocal completion fish | source

for every new one, append the line to ~/.bashrc, ~/.zshrc (below compinit) or
~/.config/fish/config.fish
"""


def add_options(parser: Parser) -> None:
    """Add the choice of a shell."""
    parser.add_argument(
        "shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish"
    )
