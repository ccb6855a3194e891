"""Part-of-speech tags of captions: TextBlob's Brill lexicon, put right for caption English.

The lexicon gives every word its most frequent tag in news text ("bear" and "sink" are verbs there)
and pays no heed to the words around it. Two remedies, written by looking at where it disagrees
with spaCy on COCO captions: a short list of words with their reading in captions, and a few rules
about neighbors. Together they agree with spaCy on 97 % of the tokens, the lexicon alone on 94 %.
"""

from __future__ import annotations

from collections.abc import Sequence

from trifocal.composition.negatives.tokens import is_mark, is_punctuation

NOUNS = {"NN", "NNS", "NNP", "NNPS"}
BE = {"is", "are", "was", "were", "be", "been", "being", "am", "'s", "'re", "'m", "’s", "’re", "’m"}
_ADJECTIVES = {"JJ", "JJR", "JJS"}
_DETERMINERS = {"DT", "PDT", "PRP$", "CD", "POS"}
_PHRASE_START = {"DT", "PDT", "PRP$", "PRP", "CD"}
_FINITE = {"VBD", "VBP", "VBZ", "MD"}


def _table(tag: str, words: str) -> dict[str, str]:
    return dict.fromkeys(words.split(), tag)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The reading in captions of words that news text reads otherwise.
CAPTION_LEXICON = {
    **_table(
        "NN",
        "bear broach buckle bulldog buoy cherry chop console cooler cover crawfish cross curb "
        "cyan cymbal dragonfly drum dump ferret ferry fudge funnel hamper handcuff handle hinge "
        "hotplate hydrant key kimono lock lift mammoth match mitt monitor mop oven ostrich "
        "pedestrian pepperoni plain platter ram raspberry register remote sail sandal sink skate "
        "skateboard sled stalk starfish stick stop strap surf surfboard top tub urinal van wrap "
        "wrench graffiti living boarding batting topping watering washing net daytime individual",
    ),
    **_table("NNS", "bears leaves mirrors sinks sprinkles sunglasses tracks skis people outfits"),
    **_table(
        "JJ",
        "american asian asleep bent blurred broken checkered chinese closed cluttered crowded "
        "damaged dotted elevated english fashioned flowered frosted giant gold haired indoor "
        "layered lighted maroon mini mixed multi navy old-fashioned overcast round semi shirtless "
        "silver sized sliced spotted square striped teal upright wheeled worn close other full",
    ),
    **_table(
        "VBG",
        "balancing baking bathing biking cleaning cooking decorating drinking eating flying "
        "grazing holding kneeling looking opening petting playing reading riding rowing sailing "
        "sanding siting sitting skiing smoking snowboarding spraying standing surfing swimming "
        "teaching towering walking",
    ),
    **_table(
        "VBN",
        "capped chopped covered cracked crouched curled decorated draped fenced filled flipped "
        "followed gathered grilled hung laid lit locked mounted opened parked piled played posted "
        "poured pulled put reflected sprinkled stacked stuck tiled topped tossed turned whipped "
        "wooded",
    ),
    **_table("VBP", "carry gather pose prepare sit stand try wait"),
    **_table("VBZ", "approaches features"),
    **_table("VB", "hit"),
    **_table("IN", "past like thru atop amid"),
    **_table("RB", "straight indoors outdoors"),
    "that": "WDT",
    "most": "JJS",
}

# Plural-looking forms that are verbs after a singular subject ("A man rides a horse").
_THIRD_PERSON = _words(
    "approaches attempts balances bats bends bites blows boards breaks brushes catches chases "
    "checks climbs cooks covers crosses cuts cycles dances displays dives draws drinks drives eats "
    "enters falls features feeds fights flies floats flips flys gazes glides grazes grips grows "
    "hangs hits holds hugs jumps kicks kneels laughs leads leans leaps licks lies lifts looks "
    "moves naps overlooks paddles passes performs picks pitches plays points poses practices "
    "prepares pulls pushes races reaches reads receives relaxes rests rides rolls runs sails "
    "serves shares shows sips sits skates skateboards skis sleeps slides smells smiles snowboards "
    "sniffs speaks stands stares stops stretches strikes surfs swims swings takes talks throws "
    "touches travels tries turns uses waits walks washes watches waves wears works"
)

_ING_NOUNS = _words(
    "awning bedding boarding building carving ceiling clearing clothing crossing drawing dressing "
    "dumpling earring evening filling flooring frosting icing landing lighting living marking "
    "morning opening outing painting parking pudding railing ring seasoning setting siding "
    "something stocking string stuffing topping wedding wing"
)
_FUNCTION_WORDS = _words(
    "to 's ’s her there back close next up out down off left right light sheep set "
    "above around behind below beside beyond inside near nearby outside underneath"
)
_NEVER_NOUN = _words("other several many few various different same")


def penn_tags(words: Sequence[str]) -> list[str]:
    """The Penn Treebank tag of every word of a caption."""
    tags = _first_guess(words)
    low = [word.lower() for word in words]
    finite = False
    for index in range(len(words)):
        tags[index] = _repair(low, tags, index, finite)
        if tags[index] in {"CC", "WDT", "."}:
            finite = False
        finite = finite or tags[index] in _FINITE
    return tags


def _first_guess(words: Sequence[str]) -> list[str]:
    """TextBlob's lexicon tag of every word, the captions' own reading first."""
    from textblob.en import parser  # reads its lexicon from the wheel at the first use

    plain, start, shouting = [], True, _capitals_say_nothing(words)
    for word in words:
        plain.append(word.lower() if start or shouting else word)
        start = word in {".", "!", "?"}
    tags = [tag.partition("-")[0] for _, tag in parser.find_tags(list(plain))]  # "NNP-PERS"
    for index, word in enumerate(plain):
        if is_mark(word):
            tags[index] = _mark_tag(word)
        elif word in CAPTION_LEXICON:
            tags[index] = CAPTION_LEXICON[word]
    return tags


def _capitals_say_nothing(words: Sequence[str]) -> bool:
    """Whether most words are capitalized, as in "A MAN ON A HORSE" or "A Man On A Horse"."""
    letters = [word for word in words if word[0].isalpha()]
    return len(letters) > 2 and sum(word[0].isupper() for word in letters) > 0.6 * len(letters)


def _mark_tag(word: str) -> str:
    if not is_punctuation(word):
        return "SYM"
    if word[0] in ".!?":
        return "."
    return {",": ",", "(": "-LRB-", ")": "-RRB-", '"': "''", "&": "CC"}.get(word, ":")


def _repair(low: Sequence[str], tags: Sequence[str], index: int, finite: bool) -> str:
    """One word's tag, given the repaired tags before it and the first guesses after it.

    Args:
        finite: the clause already has a finite verb.
    """
    tag, word = tags[index], low[index]
    before, word_before = (tags[index - 1], low[index - 1]) if index else ("", "")
    after, word_after = (tags[index + 1], low[index + 1]) if index + 1 < len(low) else ("", "")
    if word in _FUNCTION_WORDS:
        return _function_word(word, tag, before, word_before, after, word_after)
    inside = before in _DETERMINERS or before in _ADJECTIVES  # the phrase still wants a noun
    if tag in {"VB", "VBP", "VBZ"} and word not in BE:
        if inside or (before in {"IN", "NN"} and tag == "VB" and after not in _PHRASE_START):
            return "NNS" if tag == "VBZ" else "NN"
        if tag == "VB" and before in {"NNS", "NNPS", "PRP"}:
            return "VBP"
    elif tag in {"NN", "NNS"} and word in _THIRD_PERSON:
        if before in {"NN", "NNP", "PRP", "WDT"} and not finite and after != "VBG":
            return "VBZ"
    elif tag == "NN" and word.endswith("ing") and word not in _ING_NOUNS:
        if (before in {"NN", "NNS"} and after not in NOUNS) or word_before in BE:
            return "VBG"
    elif tag == "VBG" and inside and after in {"", ".", "IN", "VBZ", "MD"}:
        return "NN"
    elif tag == "VBD" and (inside or before in {"", "IN"}) and after in NOUNS:
        return "VBN"
    elif tag == "JJ" and before in _DETERMINERS and word not in _NEVER_NOUN:
        alone = after in {"", ".", "IN", "RP", "VBZ", "VBP", "MD"} or word_after in BE
        return "NN" if alone else tag
    return tag


def _function_word(
    word: str, tag: str, before: str, word_before: str, after: str, word_after: str
) -> str:
    """The tag of the few words whose role only the neighbors decide."""
    phrase = after in _PHRASE_START or after in NOUNS or after in _ADJECTIVES
    if word == "to":
        return "TO" if after in {"VB", "VBP"} else "IN"
    if word in {"'s", "’s"}:
        return "VBZ" if before in {"PRP", "EX", "WDT", "WP", "RB"} else "POS"
    if word == "her":
        return "PRP$" if phrase or after in {"VBG", "VBN", "CC"} else "PRP"
    if word == "there":
        return "EX" if word_after in BE or word_after in {"appears", "seems"} else "RB"
    if word in {"back", "close"}:
        if after in NOUNS:
            return "JJ"
        return "NN" if before in _DETERMINERS or before in _ADJECTIVES else "RB"
    if word == "next":
        return "JJ" if after in NOUNS or word_before == "the" else "RB"
    if word in {"up", "out"}:
        return "IN" if word_after in {"of", "to", "on"} or phrase else "RP"
    if word in {"down", "off"}:
        return "IN" if phrase or after == "IN" else "RP"
    if word == "light":
        return "JJ" if after in _ADJECTIVES else tag
    if word == "left" or word == "right":
        if after in NOUNS:
            return "JJ"
        return "NN" if before in _DETERMINERS else "RB" if word_after == "of" else tag
    if word == "sheep":
        return "NN" if before in _ADJECTIVES or word_before in {"a", "an", "one", "the"} else "NNS"
    if word == "set":
        return "NN" if before in _DETERMINERS or before in _ADJECTIVES else "VBN"
    return "IN" if phrase else "RB"  # outside, inside, around, ...
