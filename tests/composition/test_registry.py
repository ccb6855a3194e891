"""What holds of every benchmark of composition that is found by name."""

from __future__ import annotations

import pytest

from tests.fuzz.readers import READERS
from trifocal.composition.registry import BENCHMARKS
from trifocal.errors import UserError


def test_broken_files_of_every_benchmark_are_tried():
    assert set(BENCHMARKS) <= set(READERS) | {"sugarcrepe"}  # whose reader is named by its form


@pytest.mark.parametrize("name", BENCHMARKS)
def test_an_empty_folder_is_said_to_lack_its_files(name, tmp_path):
    benchmark = BENCHMARKS[name](available_only=True)
    assert benchmark.check(tmp_path)
    with pytest.raises(UserError, match=rf"^{name} cannot run; .* missing: get "):
        benchmark.items(tmp_path)
