"""Work in threads: results in order, several at once, never all of them."""

import threading

import pytest

from pcn_cli.files.threads import in_threads


def test_results_come_in_the_order_of_the_items_from_threads_at_once() -> None:
    barrier = threading.Barrier(3, timeout=30)  # passed only by three threads together

    def square(number: int) -> int:
        barrier.wait()
        return number * number

    assert list(in_threads(square, range(99), workers=3)) == [number * number for number in range(99)]


def test_items_are_taken_some_at_a_time() -> None:
    taken = []

    def items():
        for number in range(10_000):
            taken.append(number)
            yield number

    results = in_threads(abs, items(), workers=2)
    assert next(results) == 0
    assert len(taken) <= 32
    results.close()


def test_what_the_work_raises_is_raised() -> None:
    def refuse(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number

    results = in_threads(refuse, range(9), workers=2)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="five"):
        next(results)


def test_no_items_give_nothing() -> None:
    assert list(in_threads(abs, [])) == []
