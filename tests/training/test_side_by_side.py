"""Two pieces of work at once, also where there is no second thread."""

from __future__ import annotations

import threading

import pytest

from pgcore.training.side_by_side import side_by_side


def test_without_a_thread_one_follows_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    order: list[int] = []
    assert side_by_side(lambda: order.append(1), lambda: order.append(2)) == (None, None)
    assert order == [1, 2]
