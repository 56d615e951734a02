"""Every listing of docs/losses_in_your_code.md runs, under the name of the installed package, and learns."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "losses_in_your_code.md").read_text()
LISTINGS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TITLES = [
    "a_training_loop",
    "one_hot_masks",
    "mixed_precision_and_torch_compile",
    "several_processes",
    "deep_supervision",
]


def test_the_page_has_its_listings_and_they_are_short():
    titles = [re.sub(r"\W+", "_", title.lower()) for title in re.findall(r"^## (.*)", PAGE, re.MULTILINE)]
    assert titles == TITLES
    assert len(LISTINGS) == len(TITLES)
    assert max(len(listing.splitlines()) for listing in LISTINGS) <= 24


@pytest.mark.slow
@pytest.mark.parametrize(("title", "listing"), list(zip(TITLES, LISTINGS, strict=False)), ids=TITLES)
def test_a_listing_runs_and_learns(tmp_path: Path, title: str, listing: str):
    (tmp_path / "partial_labels").symlink_to(ROOT / "common")
    (tmp_path / "train.py").write_text(listing)
    processes = ["-m", "torch.distributed.run", "--nproc_per_node", "2"] if "init_process_group" in listing else []
    if processes:
        assert f"python {' '.join(processes)} train.py" in PAGE
    words = [sys.executable, *processes, "train.py"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    losses = [float(line) for line in result.stdout.split()]
    assert len(losses) == 20
    assert losses[-1] < 0.95 * losses[0], title
