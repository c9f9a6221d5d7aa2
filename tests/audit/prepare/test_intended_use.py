"""The table of the intended use: read, and refused with what to write instead."""

from pathlib import Path

import pytest

from melaudit.audit.prepare import intended_use
from melaudit.audit.prepare.configuration import Configuration, as_plain, configure
from melaudit.audit.prepare.intended_use import stated
from melaudit.errors import ConfigurationError


def example() -> str:
    """Return the table that the module shows."""
    assert intended_use.__doc__ is not None
    return intended_use.__doc__.partition("\n\n")[2]


def test_the_table_of_the_docs_is_read(tmp_path: Path) -> None:
    (tmp_path / "melaudit.toml").write_text(f'data = "images"\n{example()}')

    configuration = configure({"model": tmp_path / "net.pt"}, tmp_path)

    use = stated(configuration.intended_use)
    assert use is not None
    assert use.reference_standard == "Histopathology."
    assert use.limits == {
        "sensitivity": 0.9,
        "specificity": 0.8,
        "accuracy": 0.85,
        "auc": 0.9,
        "calibration_error": 0.1,
        "recall of melanoma": 0.95,
    }
    # The audited model decides where the one in use does.
    assert configuration.threshold == 0.3
    assert as_plain(configuration)["intended_use"]["population"].startswith("Adults")


def test_nothing_stated_is_nothing() -> None:
    assert stated({}) is None


def test_two_thresholds_must_be_one() -> None:
    use = {"operating_threshold": 0.3}
    same = Configuration(Path("m"), Path("d"), threshold=0.3, intended_use=use)
    assert same.threshold == 0.3
    with pytest.raises(ConfigurationError, match=r"threshold is 0\.5 .* 0\.3; give one"):
        Configuration(Path("m"), Path("d"), threshold=0.5, intended_use=use)
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        Configuration(Path("m"), Path("d"), intended_use={"operating_threshold": 1})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"purpos": "x"}, "unknown key 'purpos'; did you mean 'purpose'"),
        ({"purpose": 3}, "purpose is 3; expected a text"),
        ({"operating_threshold": 30}, "operating_threshold is 30; expected a share, 0 to 1"),
        ({"acceptance": 0.9}, "acceptance is 0.9; expected a table"),
        ({"acceptance": {"sensitivty": 0.9}}, "did you mean 'sensitivity'"),
        ({"acceptance": {"auc": True}}, "auc is True; expected a share"),
        ({"acceptance": {"recall": 0.9}}, "recall is 0.9; expected a table"),
        ({"acceptance": {"recall": {"a": "90 %"}}}, "recall.a is '90 %'"),
    ],
)
def test_a_wrong_table_is_refused_with_what_to_write(table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match="intended_use") as caught:
        stated(table)
    assert said in str(caught.value)
