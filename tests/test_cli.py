"""The command line: instant help, one-sentence errors, statuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import forked
from trifocal.cli import main


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from trifocal.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'numpy', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


def test_package_imports_nothing_heavy() -> None:
    code = "import sys, trifocal; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "missing.yaml"], "missing.yaml"),
        (["eval", "no-such-model-folder/x.pt", "world"], "no-such-model-folder"),
        (["eval", "builtin", "wrold"], "Did you mean 'world'"),
        (["eval", "builtin", "world", "--beside", "NegClip"], "Did you mean 'NegCLIP'"),
        (["eval", "builtin", "world", "--rot", "x"], "unknown option '--rot'"),
        (["eval", "few-shot", "--datasets", "world", "--methods", "tip"], "no few-shot method"),
        (
            ["eval", "few-shot", "--datasets", "world", "--shots", "1", "--rot", "x"],
            "option '--rot'",
        ),
        (["data", "check", "sugarcrepe", "--root", "nowhere"], "nowhere"),
    ],
)
def test_errors_are_one_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(words)
    captured = capsys.readouterr()
    text = captured.err + captured.out
    assert status in (1, 2)
    assert said in text
    assert "Traceback" not in text


@pytest.mark.parametrize("before", [[], ["--debug"]])
def test_the_few_shot_command_has_a_help_of_its_own(before, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*before, "eval", "few-shot", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "usage: trifocal eval few-shot" in out
    assert "--methods" in out
    assert "BENCHMARK" not in out


def test_a_model_may_still_be_called_few_shot(capsys) -> None:
    assert main(["eval", "./few-shot", "world"]) == 2
    assert "few-shot" in capsys.readouterr().err


def test_unknown_recipe_key_suggests_the_nearest(tmp_path, capsys) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: x\nbatch_sise: 3\n")
    assert main(["train", str(recipe), "--print"]) == 2
    assert "batch_size" in capsys.readouterr().err


def test_print_shows_the_resolved_recipe(tmp_path, capsys) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: x\nmethod: fsc_clip\n")
    assert main(["train", str(recipe), "--print", "--method.gamma", "1.5"]) == 0
    out = capsys.readouterr().out
    assert "gamma: 1.5" in out
    assert "smoothing: 0.02" in out


def test_quiet_leaves_results_alone() -> None:
    words = ["eval", "builtin", "world", "--device", "cpu"]
    for few in ("classification=32", "retrieval=32", "composition=4"):
        words += ["--option", few]
    loud = forked.run([sys.executable, "-m", "trifocal", *words])
    quiet = forked.run([sys.executable, "-m", "trifocal", *words, "--quiet"])
    assert "scoring world" in loud.stderr
    assert not quiet.stderr
    assert quiet.stdout == loud.stdout
