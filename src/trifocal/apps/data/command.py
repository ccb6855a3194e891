"""`trifocal data`: what a benchmark is missing, data fetched, and data written in the field's formats."""

from __future__ import annotations

import argparse
from pathlib import Path

from trifocal.apps.data.checking import check, few_shot_sets, lines
from trifocal.apps.said import say
from trifocal.apps.stated import refuse_idle
from trifocal.bars import ProgressBars
from trifocal.composition.negatives import HardNegatives
from trifocal.composition.negatives.table import check_table, prepare_table
from trifocal.composition.negatives.wordnet_files import get_wordnet
from trifocal.data.captions import read_captions
from trifocal.data.getting.get import get_data
from trifocal.data.getting.origins import find_origin
from trifocal.data.shards import check_shards, write_shards
from trifocal.errors import UserError
from trifocal.features.sentences import SentenceEncoder
from trifocal.features.text_table import check_text_table, save_text_table
from trifocal.progress import counted
from trifocal.world.export import ExportConfig, export_world

WORDNET = "wordnet"


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line asks for; return 1 where `check` finds that something is missing.

    Raises:
        UserError: there is no such benchmark, or a file cannot be read or written.
    """
    if arguments.action == "check":
        few_shot = few_shot_sets(arguments.benchmark)
        own_layout = "few-shot data sets have their own layout"
        refuse_idle(arguments, "images option available_only", bool(few_shot), own_layout)
        given = (arguments.benchmark, arguments.root, arguments.images, arguments.option)
        found = check(*given, available_only=arguments.available_only)
        words = "\n".join(lines(found, arguments.benchmark))
        say(arguments, words, [one.as_dict() for one in found])
        return 0 if all(one.whole for one in found) else 1
    actions = {
        "negatives": negatives, "shards": shards, "teacher": teacher, "world": world,
    }  # fmt: skip
    (get if arguments.action == "get" else actions[arguments.what])(arguments)
    return 0


def negatives(arguments: argparse.Namespace) -> None:
    """Write hard negatives of every caption ahead, as NegCLIP's table."""
    check_table(arguments.out)
    items = read_captions(arguments.captions, images=arguments.images, split=arguments.split)
    root = Path(arguments.images or Path(arguments.captions).parent)
    pairs = [
        (caption, _relative(Path(item.image), root)) for item in items for caption in item.captions
    ]
    maker = HardNegatives(
        tuple(arguments.kinds.split(",")), parser=arguments.parser, seed=arguments.seed
    )
    with ProgressBars(quiet=arguments.quiet) as bars:
        shown = counted(pairs, "hard negatives", bars)
        done = prepare_table(shown, arguments.out, maker, count=arguments.count)
    print(f"{arguments.out}: {done} captions with their hard negatives")


def shards(arguments: argparse.Namespace) -> None:
    """Write captions and their pictures as WebDataset shards."""
    check_shards(arguments.out, force=arguments.force)
    if arguments.per_shard < 1:
        raise UserError(f"--per-shard is {arguments.per_shard}; a shard has at least 1 sample.")
    items = read_captions(arguments.captions, images=arguments.images, split=arguments.split)
    with ProgressBars(quiet=arguments.quiet) as bars:
        shown = counted(items, "samples", bars)
        paths = write_shards(
            shown, arguments.out, per_shard=arguments.per_shard, force=arguments.force
        )
    print(f"{arguments.out}: {len(items)} samples in {len(paths)} shards")


def teacher(arguments: argparse.Namespace) -> None:
    """Write what a sentence encoder makes of captions, for `method.teacher`."""
    check_text_table(arguments.out, force=arguments.force)
    items = read_captions(arguments.captions, split=arguments.split)
    texts = list(dict.fromkeys(caption for item in items for caption in item.captions))
    encoder = SentenceEncoder(arguments.encoder)
    with ProgressBars(quiet=arguments.quiet) as bars:
        embeddings = encoder(texts, bars).half()
    save_text_table(arguments.out, texts, embeddings, force=arguments.force)
    print(f"{arguments.out}: {len(texts)} captions, {embeddings.shape[1]} numbers each")


def world(arguments: argparse.Namespace) -> None:
    """Draw the built-in world and write it as its benchmarks' own files."""
    part = max(arguments.scenes // 5, 1)
    config = ExportConfig(
        seed=arguments.seed,
        size=arguments.size,
        train=arguments.scenes,
        val=part,
        test=part,
        composition=arguments.tests,
        zero_shot=part,
        abduction=part,
        referring=part,
        few_shot=max(part // 10, 1),  # 1000 scenes: 20 a class, enough for 16 shots
    )
    folder = export_world(arguments.out, config, force=arguments.force)
    print(
        f"{folder}: the built-in world as dataset_world.json (Karpathy), sugarcrepe/, "
        "zero_shot/, sherlock/, refcoco/, few_shot/ (CoOp), few_shot_domains/"
    )


def get(arguments: argparse.Namespace) -> None:
    """Fetch the data of a benchmark; or say where WordNet is, fetching it where it is nowhere."""
    if arguments.what == WORDNET:
        refuse_idle(arguments, "root revision", True, "WordNet goes into NLTK's folder")
        place, fetched = get_wordnet()
        print(f"WordNet {'has been fetched to' if fetched else 'is there already:'} {place}")
        return
    origin = find_origin(arguments.what)
    with ProgressBars(quiet=arguments.quiet) as bars:
        done = get_data(
            origin, Path(arguments.root).expanduser(), revision=arguments.revision, progress=bars
        )
    print(done)
    print(f"licence: {origin.licence}")
    for photos in origin.photos:
        print(f"its photos: trifocal data get {photos} --root {arguments.root}")
    if origin.by_hand:
        print(f"not fetched: {origin.by_hand}")


def _relative(path: Path, root: Path) -> str:
    """Return `path` seen from `root`, as tables hold it, or as it is where it lies elsewhere."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
