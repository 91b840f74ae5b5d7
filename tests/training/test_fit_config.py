"""Plans refuse nonsense, validations compare."""

import pytest
from standin import make_config

from pcn_cli.errors import RunError
from pcn_cli.training.fit_config import Validation, check_same_config, is_better


def test_counts_are_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        make_config(epochs=0)


def test_better_is_less_loss_or_more_f1_with_loss_deciding_ties() -> None:
    base = Validation(log_loss=1.0, accuracy=0.5, macro_f1=0.5)
    sharper = Validation(log_loss=0.9, accuracy=0.5, macro_f1=0.4)
    fairer = Validation(log_loss=1.1, accuracy=0.5, macro_f1=0.6)
    tied = Validation(log_loss=0.9, accuracy=0.5, macro_f1=0.5)
    assert is_better(base, None, monitor="log_loss")
    assert is_better(sharper, base, monitor="log_loss")
    assert not is_better(fairer, base, monitor="log_loss")
    assert not is_better(base, base, monitor="log_loss")
    assert is_better(fairer, base, monitor="macro_f1")
    assert not is_better(sharper, base, monitor="macro_f1")
    assert is_better(tied, base, monitor="macro_f1")


def test_only_what_changes_the_outcome_must_be_the_same() -> None:
    check_same_config(make_config(), make_config(micro_batch=2, checkpoint_minutes=1.0))
    with pytest.raises(RunError, match=r"mixup 0\.0 → 0\.2; seed 0 → 1"):
        check_same_config(make_config(), make_config(mixup=0.2, seed=1))
