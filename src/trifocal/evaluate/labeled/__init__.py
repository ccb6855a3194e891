"""Test pictures with classes in the forms in which they are published, other than class folders."""
