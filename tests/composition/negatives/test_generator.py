"""HardNegatives: what a caller may rely on."""

from __future__ import annotations

import multiprocessing
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.composition.negatives.parses import van
from trifocal.composition.negatives import HardNegatives, Parse, generator
from trifocal.composition.negatives.textblob_parser import TextBlobParser
from trifocal.errors import UserError

CAPTION = "A small red ball to the left of a striped blue cup in a snowy field."
KINDS = ("swap", "shuffle")


def make(**settings: Any) -> HardNegatives:
    return HardNegatives(**{"kinds": KINDS, "parser": "textblob", **settings})


def test_kinds_keep_their_order() -> None:
    hn = make(kinds=("shuffle", "replace", "swap"), lexicon=None)
    drawn = hn(CAPTION)
    assert list(drawn) == ["shuffle", "replace", "swap"]
    assert drawn["replace"] is None
    assert make(kinds=())(CAPTION) == {}


def test_default_kinds_are_the_papers() -> None:
    assert HardNegatives(parser="textblob", lexicon=None).kinds == ("swap", "replace", "shuffle")


def test_wrong_settings() -> None:
    with pytest.raises(UserError, match=r"unknown kind of hard negative 'shufle'.*'shuffle'"):
        make(kinds=("shufle",))
    with pytest.raises(UserError, match="named twice"):
        make(kinds=("swap", "swap"))
    with pytest.raises(UserError, match="unknown lexicon 'wordnet'"):
        make(kinds=("replace",), lexicon="wordnet")


def test_same_seed_same_draws() -> None:
    captions = [CAPTION, "A man rides a horse on the beach.", CAPTION, CAPTION]
    first = [make(seed=3)(caption) for caption in captions[:2]]
    one, two, other = make(seed=3), make(seed=3), make(seed=4)
    drawn = [one(caption) for caption in captions]
    assert drawn == [two(caption) for caption in captions]
    assert drawn[:2] == first
    assert drawn != [other(caption) for caption in captions]


def test_draws_do_not_depend_on_other_captions() -> None:
    one, two = make(), make()
    two("Two dogs run in a park with a man and a woman.")
    assert one(CAPTION) == two(CAPTION)


def test_every_call_draws_anew() -> None:
    hn = make()
    drawn = [hn(CAPTION) for _ in range(20)]
    assert len({d["shuffle"] for d in drawn}) > 15
    assert len({d["swap"] for d in drawn}) > 5


def test_given_generator_decides_all() -> None:
    hn, other = make(seed=0), make(seed=1)
    hn(CAPTION)
    for seed in range(5):
        rng = [np.random.default_rng([seed, 1, 2]) for _ in range(2)]
        assert hn(CAPTION, rng[0]) == other(CAPTION, rng[1])
    rng = np.random.default_rng(0)
    assert len({hn(CAPTION, rng)["shuffle"] for _ in range(20)}) > 15


def test_global_random_state_is_left_alone() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 - it must not be used
    make()(CAPTION)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=60), st.booleans())
def test_any_text_is_taken(caption: str, normalize: bool) -> None:
    hn = make(normalize=normalize)
    for negative in hn(caption).values():
        assert negative is None or negative != hn.prepare_caption(caption)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([*CAPTION.split(), "and", "is", "riding", "two"]), max_size=14))
def test_negatives_are_made_of_the_captions_words(words: list[str]) -> None:
    caption = " ".join(words)
    for negative in make()(caption).values():
        if negative is not None:
            letters = str.maketrans("", "", " .")
            assert sorted(negative.translate(letters)) == sorted(caption.translate(letters))


def test_forgetting_keeps_the_memory_small() -> None:
    hn = make(remember=3)
    for number in range(10):
        hn(f"A dog and {number} cats")
    assert len(hn._known) == 3
    forgetful = make(remember=0)
    assert forgetful(CAPTION) == make()(CAPTION)
    assert not forgetful._known


def test_candidates_are_made_once() -> None:
    class Counting:
        name = "counting"
        calls = 0

        def parse(self, caption: str) -> Parse:
            self.calls += 1
            return van()

    parser = Counting()
    hn = make(parser=parser)
    for _ in range(4):
        hn(van().text)
    assert parser.calls == 1
    hn.warm_up([van().text, "a", "b", "a"])
    assert parser.calls == 3
    hn("a"), hn("b")
    assert parser.calls == 3


def test_parser_without_a_name() -> None:
    class Nameless:
        def parse(self, caption: str) -> Parse:
            return van()

    assert make(parser=Nameless()).parser_name == "Nameless"


def _draw(hn: HardNegatives, queue: Any) -> None:
    queue.put([hn(CAPTION, np.random.default_rng(k)) for k in range(5)])


def test_forked_worker_draws_the_same() -> None:
    hn = make()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=_draw, args=(hn, queue))
    worker.start()
    drawn = queue.get(timeout=60)
    worker.join()
    assert drawn == [hn(CAPTION, np.random.default_rng(k)) for k in range(5)]


def test_copy_for_a_spawned_worker_is_small_and_draws_the_same() -> None:
    hn = make(parser=TextBlobParser())
    hn.warm_up(f"a dog and {number} cats" for number in range(200))
    content = pickle.dumps(hn)
    assert len(content) < 5000
    assert pickle.loads(content)(CAPTION) == hn(CAPTION)


def test_data_workers_draw_anew_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    # Workers that are forked anew each epoch start with the same object but another seed.
    drawn = []
    for seed in (10, 10, 11):
        monkeypatch.setattr(generator, "_worker_seed", lambda seed=seed: seed)
        drawn.append(make()(CAPTION))
    assert drawn[0] == drawn[1] != drawn[2]


def test_worker_seed_is_torchs() -> None:
    import torch

    class Seeds(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> int:
            return generator._worker_seed() or 0

    assert generator._worker_seed() is None
    loader = torch.utils.data.DataLoader(
        Seeds(), num_workers=1, generator=torch.Generator().manual_seed(0)
    )
    first, second = ([int(seed) for seed in loader] for _ in range(2))
    assert 0 not in first + second
    assert first[0] == first[1]
    assert first[0] != second[0]
