from .discovery import VisualConcepts as VisualConcepts
from .discovery import discover_visual_concepts as discover_visual_concepts
from .explanation import Explanation as Explanation
from .explanation import Term as Term
from .head import Head as Head
from .method import CCLI as CCLI
