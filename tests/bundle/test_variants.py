"""The variants among the bundles: short, and without files for use."""

from pathlib import Path

import yaml

BUNDLES = sorted(path.parents[1] for path in Path(__file__).parents[2].glob("bundles/*/configs/bundle.yaml"))


def test_a_variant_is_short_and_has_no_files_for_use():
    bases = {bundle: yaml.safe_load((bundle / "configs/bundle.yaml").read_text()).get("base") for bundle in BUNDLES}
    variants = [bundle for bundle, base in bases.items() if base in {other.name for other in BUNDLES}]
    assert len(variants) >= 4
    for bundle in variants:
        assert not {path.name for path in bundle.glob("configs/*.yaml")} & {"inference.yaml", "measure.yaml"}
        stated = yaml.safe_load((bundle / "configs/bundle.yaml").read_text())
        assert len(stated) <= 8
        base = yaml.safe_load((bundle.parent / stated["base"] / "configs/train.yaml").read_text())
        own = yaml.safe_load((bundle / "configs/train.yaml").read_text())
        named = {"bundle_root", "experiment", "runs_dir"}
        assert {key for key in base if own[key] != base[key]} <= {*stated, *named}
