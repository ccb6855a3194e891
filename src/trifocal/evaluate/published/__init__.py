"""What papers print: means under their names, and rows of other models with the source of each."""
