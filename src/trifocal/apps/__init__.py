"""A trained model put to use, and the tour."""
