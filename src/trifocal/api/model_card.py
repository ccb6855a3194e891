"""The card of a model on the Hub: what it is, what it was made from, what it gains and costs.

Nothing is claimed that a file does not say; what was not measured is said to be so. Paths of the
machine it was made on are left out: of a path, the card has the last part.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from trifocal.config import read_yaml
from trifocal.metrics.result import Result

CLASSIFIER, ADAPTATION, ESTIMATOR, MODEL = "classifier", "adaptation", "estimator", "model"
# What a folder is, by a file in it.
KINDS = {
    "head.json": CLASSIFIER,
    "adapter.json": ADAPTATION,
    "estimator.json": ESTIMATOR,
    "config.json": MODEL,
}
_USE = {
    CLASSIFIER: 'trifocal.classify("photo.jpg", folder)',
    ADAPTATION: 'trifocal.load(folder).encode_image("photo.jpg")',
    ESTIMATOR: "trifocal.HeadClassifier.load(folder).predict(features)",
    MODEL: 'trifocal.load(folder).encode_image("photo.jpg")',
}


def kind_of(folder: Path) -> str | None:
    """Return what a folder holds, or None for nothing that is known."""
    return next((kind for file, kind in KINDS.items() if (folder / file).is_file()), None)


def write_card(
    folder: Path, repo: str, license: str, *, run: Path | None = None, rows: Sequence[Result] = ()
) -> str:
    """Return the content of README.md.

    Args:
        folder: What is pushed.
        repo: Its name on the Hub.
        license: Its licence, by the Hub's names ("apache-2.0").
        run: The run folder that it is from, for recipe and last evaluation.
        rows: Results of it, and of its base, which gains and costs are told from.
    """
    from huggingface_hub import ModelCardData

    facts = _facts(folder, run)
    base = facts.get("base")
    named = base if base and base.count("/") == 1 and not base.startswith((".", "/")) else None
    data = ModelCardData(
        license=license,
        library_name="trifocal",
        base_model=named,
        tags=["clip", "trifocal", *([facts["method"]] if facts.get("method") else [])],
        pipeline_tag="image-classification"
        if facts["kind"] == CLASSIFIER
        else "zero-shot-image-classification",
    )
    sections = [
        f"# {repo.split('/')[-1]}",
        _said(facts),
        "## What it was measured to gain, and what that costs",
        _measured(facts, rows),
        "## Use",
        f'```python\nimport trifocal\n\nfolder = trifocal.pull("{repo}")\n{_USE[facts["kind"]]}\n```',
        "## Licence",
        f"{license}. The weights it is built on, and the data it was trained on, have their own.",
    ]
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(filter(None, sections)) + "\n"


def _facts(folder: Path, run: Path | None) -> dict[str, Any]:
    """Return what the files say: kind, method, base, data, metrics."""
    kind = kind_of(folder)
    facts: dict[str, Any] = {"kind": kind}
    if kind == CLASSIFIER:
        head = _json(folder / "head.json")
        facts |= {
            "method": head.get("method"),
            "base": _short(head.get("backbone", {}).get("name")),
            "classes": head.get("classes", []),
            "pictures": len(head.get("support", [])),
            "metrics": head.get("metrics") or {},
            "note": head.get("note"),
        }
    elif kind == ADAPTATION:
        adapter = _json(folder / "adapter.json")
        facts |= {"method": adapter.get("method"), "base": _short(adapter["base"]["name"])}
    elif kind == ESTIMATOR:
        head = _json(folder / "estimator.json")
        facts |= {"method": head.get("head"), "classes": head.get("classes", [])}
    if run is not None and (run / "recipe.yaml").is_file():
        recipe = read_yaml(run / "recipe.yaml")
        facts.setdefault("method", recipe.get("method", {}).get("name"))
        facts.setdefault("base", _short(recipe.get("model", {}).get("name")))
        facts["data"] = recipe.get("data", {})
        facts["recipe"] = {
            key: recipe[key] for key in ("batch_size", "schedule", "seed") if key in recipe
        }
    return facts


def _said(facts: dict[str, Any]) -> str:
    """Return the list of what it is."""
    lines = [f"* **What**: a {facts['kind']} of trifocal"]
    if facts.get("method"):
        lines.append(f"* **Method**: {facts['method']}")
    if facts.get("base"):
        lines.append(f"* **Base**: {facts['base']}")
    data = facts.get("data")
    if data:
        where = f", {_short(data['path'])}" if isinstance(data.get("path"), str) else ""
        lines.append(f"* **Data**: {data.get('source', 'unknown')}{where}")
    if facts.get("classes"):
        classes = [str(one) for one in facts["classes"]]
        more = f" and {len(classes) - 20} more" if len(classes) > 20 else ""
        lines.append(f"* **Classes** ({len(classes)}): {', '.join(classes[:20])}{more}")
    if facts.get("pictures"):
        lines.append(f"* **Data**: {facts['pictures']} labeled pictures")
    if facts.get("recipe"):
        lines.append(f"* **Recipe**: `{json.dumps(facts['recipe'])}`")
    if facts.get("note"):
        lines.append(f"* **Note**: {facts['note']}")
    return "\n".join(lines)


def _measured(facts: dict[str, Any], rows: Sequence[Result]) -> str:
    """Return what was measured, or that nothing was."""
    metrics, parts = facts.get("metrics") or {}, []
    if "acc1" in metrics:
        parts.append(
            f"On {metrics['n']} pictures that it was not fitted to: accuracy "
            f"{100 * metrics['acc1']:.1f} % (zero-shot "
            f"{100 * metrics['zero_shot_acc1']:.1f} %, chance {100 * metrics['chance']:.1f} %)."
        )
    models = list(dict.fromkeys(row.model for row in rows))
    if models:
        values = {(row.benchmark, row.task, row.metric, row.model): row.value for row in rows}
        keys = list(dict.fromkeys(key[:3] for key in values))
        names = [_short(model) for model in models]
        lines = [
            f"| benchmark | task | metric | {' | '.join(map(str, names))} |",
            "|---|---|---|" + "---|" * len(models),
        ]
        for key in keys:
            found = [values.get((*key, model)) for model in models]
            shown = ["not measured" if one is None else f"{one:.4f}" for one in found]
            lines.append(f"| {' | '.join(key)} | {' | '.join(shown)} |")
        parts.append("\n".join(lines))
        if len(models) < 2:
            parts.append("Its base was not measured beside it, so what it costs is not known.")
    if not parts:
        return "Nothing was measured: neither what it gains, nor what it costs elsewhere."
    return "\n\n".join(parts)


def _short(name: object) -> str | None:
    """Return a model's name; of a path, its last part."""
    if not isinstance(name, str):
        return None
    path = PurePath(name)
    return path.name if path.is_absolute() or len(path.parts) > 2 or name[:1] in ".~" else name


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))
