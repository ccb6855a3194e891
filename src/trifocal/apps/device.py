"""The device that a command's model is on; see `trifocal.devices`."""

from trifocal.devices import pick_device, usable_device

__all__ = ["pick_device", "usable_device"]
