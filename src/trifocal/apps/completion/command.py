"""`trifocal completion`: argcomplete's few lines for a shell.

On Tab the shell asks trifocal itself, which is ready in a tenth of a second and so always offers
what is installed; a run without Tab never imports argcomplete.
"""

from __future__ import annotations

import argparse

from argcomplete.shell_integration import shellcode


def run(arguments: argparse.Namespace) -> int:
    """Print the lines."""
    print(shellcode(["trifocal"], shell=arguments.shell))
    return 0
