"""Which licences forbid commercial use, by the names that timm and the hub know them by."""

import pytest
import timm
from timm.models import get_pretrained_cfg

from pcn_cli.errors import ModelError
from pcn_cli.models.licence import check_licence, is_non_commercial
from pcn_cli.models.sources import find_source
from pcn_cli.models.zoo import CARDS

FREE = (
    *("", "unknown", "Apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "apple-ascl"),
    *("dinov3-license", "nvidia-open-model-license", "openrail", "incorporated"),
)
FORBIDDING = (
    *("cc-by-nc-4.0", "CC-BY-NC-SA-4.0", "cc by-nc 4.0", "cc_by_nc_4.0", "fair-noncommercial-research-license"),
    *("Non-Commercial", "non commercial use only", "research", "Microsoft Research License", "apple-amlr"),
)


@pytest.mark.parametrize("licence", FREE)
def test_most_licences_ask_nothing(licence):
    assert not is_non_commercial(licence)


@pytest.mark.parametrize("licence", FORBIDDING)
def test_non_commercial_and_research_licences_are_known(licence):
    assert is_non_commercial(licence)


def test_the_licences_of_timm_are_told_apart():
    licences = {get_pretrained_cfg(name).license or "" for name in timm.list_pretrained()}
    forbidding = {licence for licence in licences if is_non_commercial(licence)}
    assert {"cc-by-nc-4.0", "apple-amlr"} <= forbidding
    assert {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0"} <= licences - forbidding


def test_the_refusal_says_what_was_found_and_what_to_type():
    source = find_source("timm:convnextv2_atto.fcmae")
    with pytest.raises(ModelError, match=r"convnextv2_atto.fcmae are under cc-by-nc-4.0, which forbids") as refused:
        check_licence(source, accepted=False)
    assert "add --accept-licence" in refused.value.hint
    assert check_licence(source, accepted=True) == "cc-by-nc-4.0"


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_no_card_of_ours_is_refused(card):
    assert check_licence(find_source(card.name), accepted=False) == card.licence
