from .ccli import CCLI as CCLI
from .concept_map import ConceptMap as ConceptMap
from .discovery import VisualConcepts as VisualConcepts
from .discovery import discover_visual_concepts as discover_visual_concepts
from .explanation import Explanation as Explanation
from .explanation import Term as Term
from .head import Head as Head
