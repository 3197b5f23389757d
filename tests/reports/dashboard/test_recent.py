"""Many who ask cost what one costs."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from reports.dashboard.recent import Recent
from tests.waiting import until


def test_an_answer_is_found_once_for_all_who_ask_at_once():
    recent, found = Recent(), []

    def find():
        time.sleep(0.05)
        found.append("answer")
        return "answer"

    with ThreadPoolExecutor(30) as threads:
        assert set(threads.map(lambda _: recent.get("study", 1, find), range(30))) == {"answer"}
    assert found == ["answer"]


def test_what_takes_long_to_find_is_found_less_often_until_nothing_more_is_to_come():
    recent = Recent(seconds=0.0, share=0.01)
    assert recent.get("study", 1, lambda: time.sleep(0.02) or "first") == "first"
    assert recent.get("study", 2, lambda: "second") == "first"
    assert recent.get("study", 2, lambda: "second", settled=True) == "second"
    assert recent.get("study", 2, lambda: "third", settled=True) == "second"


def test_who_comes_while_another_finds_gets_the_last_answer_or_none_in_the_background():
    recent, go = Recent(seconds=0.0), Event()
    assert recent.peek("figures", 1, lambda: go.wait(10) and "first") is None
    assert recent.peek("figures", 1, lambda: "never") is None
    go.set()
    assert recent.get("figures", 1, lambda: "never", settled=True) == "first"


def test_an_error_is_the_askers_and_the_next_one_asks_anew():
    recent = Recent()
    with pytest.raises(ZeroDivisionError):
        recent.get("study", 1, lambda: 1 / 0)
    assert recent.get("study", 1, lambda: "answer") == "answer"


def test_of_too_many_answers_the_one_that_was_not_asked_for_longest_is_forgotten():
    recent = Recent(most=2)
    for key in ("a", "b", "a", "c"):
        recent.get(key, 1, lambda key=key: key)
    assert recent.get("a", 1, lambda: "anew") == "a"
    assert recent.get("b", 1, lambda: "anew") == "anew"


def test_nobody_waits_for_what_takes_long_once_there_is_an_answer_and_a_failure_is_tried_again():
    recent, go = Recent(seconds=0.0, share=0.99), Event()
    assert recent.get("study", 1, lambda: time.sleep(0.11) or "first") == "first"
    assert recent.get("study", 2, lambda: go.wait(10) and 1 / 0) == "first"
    go.set()
    until(lambda: recent.get("study", 3, lambda: "third") == "third")
