"""YAML that people write: a key is given once."""

from pathlib import Path

import pytest
import yaml

from common.strict_yaml import parse_yaml, read_yaml

ACCEPTED = """
shared: &shared {a: 1, b: 2}
own: {<<: *shared, b: 3}
more: {<<: [*shared, {c: 4}]}
'1': text
1: number
nested: {b: {b: [{b: 1}, {b: 2}]}}
"""


def test_mappings_with_each_key_once_are_read_as_yaml_reads_them(tmp_path: Path):
    assert parse_yaml(ACCEPTED) == yaml.safe_load(ACCEPTED)
    (tmp_path / "a.yaml").write_text(ACCEPTED)
    assert read_yaml(tmp_path / "a.yaml") == yaml.safe_load(ACCEPTED)
    assert parse_yaml("") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3 repeats 'a'"),
        ("x:\n- {a: 1}\n- {a: 1, a: 1}", "line 3 repeats 'a'"),
        ("{0: x, 1: y, 0x1: z}", "line 1 repeats 1"),
        ("yes: x\ntrue: y", "line 2 repeats True"),
        ("a: [", "expected the node content"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("[" * 5000, "recursion"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.yaml is not readable YAML: (.|\n)*{message}"):
        read_yaml(tmp_path / "a.yaml")
