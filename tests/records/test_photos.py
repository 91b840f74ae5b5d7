import pytest

from pcn_cli.records.photos import join_labels, split_labels


@pytest.mark.parametrize("names", [(), ("oak",), ("ash", 'b "c", d', "Öl|x")])
def test_labels_come_back_from_their_text(names):
    assert split_labels(join_labels(reversed([*names, *names])), multi_label=True) == names


def test_one_label_is_never_divided():
    assert split_labels("oak;ash", multi_label=False) == ("oak;ash",)
    assert split_labels("", multi_label=False) == ("",)


@pytest.mark.parametrize("name", ["", "oak;ash"])
def test_a_name_that_could_not_come_back_is_refused(name):
    with pytest.raises(ValueError, match="cannot be one of several labels"):
        join_labels([name])
