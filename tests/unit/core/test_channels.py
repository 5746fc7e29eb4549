from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puncta.core.channels import BoundedFifo, ChannelClosed, LatestSlot


def test_the_newest_wins_and_the_loss_is_counted():
    slot: LatestSlot[int] = LatestSlot("s")
    assert slot.put(1) is None
    assert slot.put(2) == 1
    assert slot.take(0) == 2
    assert slot.take(0) is None
    assert slot.drops == {"replaced by newer": 1}


def test_none_is_a_value_like_any_other_for_the_count():
    slot: LatestSlot[int | None] = LatestSlot("s")
    slot.put(None)
    slot.put(1)
    assert slot.drops == {"replaced by newer": 1}


def test_put_wait_waits_for_the_reader():
    slot: LatestSlot[int] = LatestSlot("s")
    slot.put(1)
    assert slot.put_wait(2, 0.01) is False
    reader = threading.Timer(0.02, slot.take)
    reader.start()
    assert slot.put_wait(3, 5) is True
    reader.join()
    assert slot.take(0) == 3 and slot.drops == {}


def test_clear_counts_under_its_cause():
    slot: LatestSlot[int] = LatestSlot("s")
    slot.clear("seek")
    slot.put(1)
    slot.clear("seek")
    assert slot.take(0) is None and slot.drops == {"seek": 1}


def test_a_closed_slot_gives_its_last_value_then_says_closed():
    slot: LatestSlot[int] = LatestSlot("s")
    slot.put(1)
    slot.close()
    assert slot.take() == 1
    with pytest.raises(ChannelClosed):
        slot.take()
    with pytest.raises(ChannelClosed):
        slot.put(2)
    with pytest.raises(ChannelClosed):
        slot.put_wait(2)


def test_closing_wakes_a_waiting_reader_and_writer():
    slot: LatestSlot[int] = LatestSlot("s")
    fifo: BoundedFifo[int] = BoundedFifo("f", 1)
    fifo.put(0)
    ended = []

    def wait(call):
        with pytest.raises(ChannelClosed):
            call()
        ended.append(call)

    threads = [threading.Thread(target=wait, args=(c,)) for c in (slot.take, lambda: fifo.put(1))]
    for thread in threads:
        thread.start()
    slot.close()
    fifo.close()
    for thread in threads:
        thread.join(2)
    assert len(ended) == 2


@given(st.lists(st.integers(1, 9), max_size=40))
def test_a_fifo_keeps_order_and_its_bound(sizes):
    fifo: BoundedFifo[int] = BoundedFifo("f", 20, size_of=lambda v: v)
    kept = [v for v in sizes if fifo.put(v, 0)]
    assert sum(kept) <= 20
    assert fifo.drops.get("full", 0) == len(sizes) - len(kept)
    assert [fifo.take(0) for _ in kept] == kept


def test_a_value_larger_than_the_fifo_passes_when_it_is_empty():
    fifo: BoundedFifo[int] = BoundedFifo("f", 4, size_of=lambda v: v)
    assert fifo.put(99, 0)
    assert not fifo.put(1, 0)
    assert fifo.take(0) == 99


def test_a_closed_fifo_is_drained_first():
    fifo: BoundedFifo[int] = BoundedFifo("f", 4)
    fifo.put(1)
    fifo.put(2)
    fifo.close()
    assert [fifo.take(), fifo.take()] == [1, 2]
    with pytest.raises(ChannelClosed):
        fifo.take()
