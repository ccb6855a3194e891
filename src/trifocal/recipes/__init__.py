"""Training recipes that ship with the package: `<focus>/<method>-<data>-<backbone>.yaml`."""
