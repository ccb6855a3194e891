"""Who is in a caption, how they look, and how they relate: the elements `replace` may change.

With dependencies the rules are those of FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210), which
takes them over from CLoVe (Castro et al., arXiv 2402.15021) and the rule-based SceneGraphParser.
Without dependencies (`textblob_parser`) an approximation reads noun chunks and what stands between
them: see `_graph_from_chunks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from trifocal.composition.negatives.parse import Parse, Span


def _phrases(text: str) -> frozenset[str]:
    return frozenset(text.split("|"))


# Prepositions with a noun inside: the noun ("front") is then no object of its own.
PHRASAL_PREPOSITIONS = _phrases(
    "in addition to|in back of|in between of|in front of|in reference to|in regard to|in spite of|"
    "in the back of|in the center of|in the corner of|in the front of|in the middle of|"
    "in the midst of|on account of|on back of|on both sides of|on each side of|on either side of|"
    "on side of|on the back of|on the edge of|on the side of|on the top of|on top of|at the back of|"
    "at the bottom of|at the edge of|at the end of|at the side of|at the top of|by the side of|"
    "to the left of|to the right of|to the side of|on the left of|on the right of|"
    "on the left side of|on the right side of|with regard to"
)

# A verb (base form) and the preposition it chooses: the two make one relation.
PHRASAL_VERBS = _phrases(
    "care for|carry on|cover in|cover with|cut into|cut through|deal with|dress as|dress in|"
    "dress up|fill with|gaze at|get into|get off|get on|get out|go through|hang from|hold on|"
    "hold onto|hold up|lean against|lean on|lean over|line with|listen to|look after|look around|"
    "look at|look for|look into|look like|look out|look over|look through|made of|make of|make up|"
    "pick up|play on|play with|point at|point to|pose for|pose with|prepare for|pull up|put in|"
    "put on|reach for|reach into|ready for|ride on|serve with|show off|sit on|sleep on|smile at|"
    "stand on|stare at|surround by|take off|talk on|talk to|top with|try on|wait for|wait on|"
    "walk on|watch over|work on"
)


@dataclass(frozen=True, slots=True)
class Entity:
    """An object of the scene: the head word of a noun chunk, and the words that qualify it."""

    chunk: Span
    root: int
    modifiers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """A stretch of tokens that may be replaced, and its head token."""

    span: Span
    root: int


@dataclass(frozen=True, slots=True)
class SceneGraph:
    """Entities with their modifiers, and the relations between them."""

    entities: tuple[Entity, ...]
    relations: tuple[Element, ...]

    @property
    def composed(self) -> bool:
        """Whether there is anything to compose: at least two entities, and among them a relation
        or a modifier (determiners count)."""
        qualified = bool(self.relations) or any(entity.modifiers for entity in self.entities)
        return len(self.entities) >= 2 and qualified

    def elements(self) -> list[Element]:
        """Every entity's head, every modifier, every relation; each stretch of tokens once."""
        words = [entity.root for entity in self.entities]
        words += [index for entity in self.entities for index in entity.modifiers]
        found = [Element(Span(index, index + 1), index) for index in words]
        return list(dict.fromkeys([*found, *self.relations]))


def scene_graph(parse: Parse) -> SceneGraph:
    """The scene graph of a caption, by dependencies where the parser gives them."""
    return _graph_from_tree(parse) if parse.has_dependencies else _graph_from_chunks(parse)


# With dependencies.


def _graph_from_tree(parse: Parse) -> SceneGraph:
    tokens = parse.tokens
    entities = []
    for chunk in parse.noun_chunks:
        root = parse.root(chunk)
        if tokens[root].pos != "PRON" and tokens[root].lemma != "-pron-":
            entities.append(Entity(chunk, root, tuple(_modifiers(parse, root))))
    subjects = _subjects(parse)
    links, inner_nouns = [], set()
    for chunk in parse.noun_chunks:
        link = _relation(parse, parse.root(chunk), subjects)
        if link is not None:
            links.append(link)
            inner_nouns.update(link.inner)
    entities = [entity for entity in entities if entity.root not in inner_nouns]
    relations = [
        Element(link.span, parse.root(link.span))
        for link in links
        if _locates(parse, entities, link.subject) and _locates(parse, entities, link.object)
    ]
    return SceneGraph(tuple(entities), tuple(dict.fromkeys(relations)))


def _modifiers(parse: Parse, root: int) -> Iterator[int]:
    """Determiners, numbers and adjectives of a noun and of the nouns compounded with it."""
    waiting, seen = [root], set()
    while waiting:
        noun = waiting.pop()
        seen.add(noun)
        for child in parse.children[noun]:
            dep = parse.tokens[child].dep
            if dep in {"det", "nummod"}:
                yield child
            elif dep == "amod":
                yield from _with_conjuncts(parse, child)
            elif dep == "compound" and child not in seen:
                waiting.append(child)


def _with_conjuncts(parse: Parse, index: int) -> list[int]:
    """A token and those directly coordinated with it ("a black and white dog")."""
    return [index] + [c for c in parse.children[index] if parse.tokens[c].dep == "conj"]


def _subjects(parse: Parse) -> dict[int, int]:
    """For each verb the token that acts: its subject, the noun it qualifies, or a passive's agent."""
    subjects: dict[int, int] = {}
    for index, token in enumerate(parse.tokens):
        if token.dep == "nsubj":
            subjects[token.head] = index
        elif token.dep == "acl":
            subjects[index] = token.head
        elif token.dep == "pobj" and parse.tokens[token.head].dep == "agent":
            verb = parse.tokens[token.head].head
            if parse.tokens[verb].pos == "VERB":
                subjects[verb] = index
    return subjects


@dataclass(frozen=True, slots=True)
class _Link:
    subject: int
    object: int
    span: Span
    inner: tuple[int, ...] = ()  # nouns that belong to a phrasal preposition


def _relation(parse: Parse, root: int, subjects: dict[int, int]) -> _Link | None:
    """The relation that ends at a noun chunk's root, if any."""
    token = parse.tokens[root]
    head = token.head
    acting = subjects.get(head)
    if token.dep in {"dobj", "attr", "nsubjpass"} and acting is not None:
        return _Link(acting, root, Span(head, head + 1))
    if token.dep != "pobj" or parse.tokens[head].dep == "agent":
        return None
    return _prepositional(parse, root, head, subjects)


def _prepositional(parse: Parse, root: int, prep: int, subjects: dict[int, int]) -> _Link | None:
    """The relation of a preposition's object, by what the preposition hangs on."""
    tokens = parse.tokens
    governor = tokens[prep].head
    upper = tokens[governor].head
    own = Span(prep, prep + 1)
    acting = subjects.get(governor)
    if acting is not None and (tokens[governor].pos == "VERB" or tokens[governor].dep == "acl"):
        phrase = f"{tokens[governor].lemma} {tokens[prep].lemma}"
        phrasal = governor + 1 == prep and phrase in PHRASAL_VERBS
        return _Link(acting, root, Span(governor, prep + 1) if phrasal else own)
    if tokens[governor].dep == "pobj" and upper <= prep:
        phrase = Span(upper, prep + 1)
        if parse.span_text(phrase).lower() in PHRASAL_PREPOSITIONS:
            bearer = tokens[upper].head  # a noun, or the verb of the noun that acts
            return _Link(subjects.get(bearer, bearer), root, phrase, (governor,))
    if tokens[governor].pos == "NOUN":
        return _Link(governor, root, own)
    if tokens[governor].dep in {"amod", "advmod"} and governor <= prep:
        bearer = subjects.get(upper) if tokens[upper].pos == "VERB" else upper
        if bearer is not None and tokens[upper].pos in {"NOUN", "VERB"}:
            return _Link(bearer, root, Span(governor, prep + 1))
    if tokens[governor].pos == "AUX" and acting is not None:
        return _Link(acting, root, own)
    return None


def _locates(parse: Parse, entities: list[Entity], index: int) -> bool:
    """Whether a token, or one coordinated with it, lies in an entity's chunk."""
    return any(
        entity.chunk.start <= place < entity.chunk.end
        for place in _with_conjuncts(parse, index)
        for entity in entities
    )


# Without dependencies.


def _graph_from_chunks(parse: Parse) -> SceneGraph:
    """An approximation from noun chunks and tags.

    Entities are the noun chunks; their modifiers are the determiners, numbers, adjectives and
    participles before the head. A relation is what stands between two neighboring chunks, unless
    a comma, a conjunction or a relative pronoun separates them: a preposition with a noun inside
    ("in front of", whose noun is then no entity), a verb with the preposition it chooses ("look
    at"), else the last preposition ("next to" and "close to" count as one), else the last verb;
    after a participle, "by" names who acts, so the participle is the relation.
    """
    phrases = _phrasal_prepositions(parse)
    inner = {index for phrase in phrases for index in range(phrase.start, phrase.end)}
    chunks = [c for c in parse.noun_chunks if inner.isdisjoint(range(c.start, c.end))]
    entities = [
        Entity(chunk, root, tuple(_modifiers_before(parse, chunk, root)))
        for chunk in chunks
        if parse.tokens[root := parse.root(chunk)].pos != "PRON"
    ]
    relations = []
    for left, right in pairwise(chunks):
        element = _between(parse, left.end, right.start, phrases)
        if element is not None:
            relations.append(element)
    return SceneGraph(tuple(entities), tuple(relations))


def _phrasal_prepositions(parse: Parse) -> list[Span]:
    found = []
    for start, token in enumerate(parse.tokens):
        if token.pos == "ADP":
            for end in range(start + 3, min(start + 5, len(parse.tokens)) + 1):
                if parse.span_text(Span(start, end)).lower() in PHRASAL_PREPOSITIONS:
                    found.append(Span(start, end))
    return found


def _modifiers_before(parse: Parse, chunk: Span, root: int) -> Iterator[int]:
    for index in range(chunk.start, root):
        token = parse.tokens[index]
        if token.pos in {"DET", "NUM", "ADJ"} or token.tag in {"VBN", "VBG"}:
            yield index


def _between(parse: Parse, start: int, end: int, phrases: list[Span]) -> Element | None:
    """The relation in the tokens `start` to `end - 1` between two chunks."""
    tokens = parse.tokens
    if any(t.pos in {"PUNCT", "CCONJ", "SCONJ"} or t.tag == "WDT" for t in tokens[start:end]):
        return None
    for phrase in phrases:
        if start <= phrase.start and phrase.end <= end:
            return Element(phrase, phrase.start)
    verbs = [index for index in range(start, end) if tokens[index].pos == "VERB"]
    preps = [index for index in range(start, end) if tokens[index].pos == "ADP"]
    if not preps:
        return Element(Span(verbs[-1], verbs[-1] + 1), verbs[-1]) if verbs else None
    prep = preps[-1]
    previous = prep - 1
    if previous >= start:
        word = tokens[previous]
        if word.tag == "VBN" and tokens[prep].text.lower() == "by":
            return Element(Span(previous, prep), previous)
        if word.pos == "VERB" and f"{_base(word.text)} {tokens[prep].text}" in PHRASAL_VERBS:
            return Element(Span(previous, prep + 1), previous)
        if word.text.lower() in {"next", "close"}:
            return Element(Span(previous, prep + 1), prep)
    return Element(Span(prep, prep + 1), prep)


def _base(word: str) -> str:
    """A rough base form of an English verb, enough to look up `PHRASAL_VERBS`."""
    low = word.lower()
    verbs = {phrase.split()[0] for phrase in PHRASAL_VERBS}
    for ending in ("ing", "ed", "es", "s", "d"):
        stem = low.removesuffix(ending)
        if stem == low:
            continue
        doubled = stem[:-1] if len(stem) > 2 and stem[-1] == stem[-2] else stem
        for form in (stem, f"{stem}e", doubled):
            if form in verbs:
                return form
    return low
