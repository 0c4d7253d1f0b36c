"""How large a batch is, as the last ones took their time."""

import pytest

from rehome.parts.batches import (
    FIRST_BLOCKS,
    LARGEST_GROWTH,
    MOST_BLOCKS,
    SAMPLES,
    TARGET_SECONDS,
    BatchSize,
)

pytestmark = pytest.mark.server

HUGE = 10**9


def record(size: BatchSize, seconds: float, times: int = SAMPLES) -> BatchSize:
    for _ in range(times):
        size.record(seconds)
    return size


@pytest.mark.parametrize(("blocks", "first"), [(0, 1), (1, 1), (400, 2), (20_000, FIRST_BLOCKS), (HUGE, FIRST_BLOCKS)])
def test_it_begins_small_and_with_a_small_part_of_the_table(blocks: int, first: int) -> None:
    assert BatchSize(blocks).blocks == first


def test_it_changes_only_after_ten_batches() -> None:
    assert record(BatchSize(HUGE), 0.001, SAMPLES - 1).blocks == FIRST_BLOCKS


def test_it_grows_by_half_at_most() -> None:
    assert record(BatchSize(HUGE), 0.0).blocks == FIRST_BLOCKS * LARGEST_GROWTH


def test_it_never_grows_past_its_limits() -> None:
    assert record(BatchSize(HUGE), 0.0, 1000).blocks == MOST_BLOCKS
    assert record(BatchSize(1_000), 0.0, 1000).blocks == 5


def test_it_shrinks_with_the_slower_of_its_batches() -> None:
    size = record(BatchSize(HUGE), TARGET_SECONDS / 4, SAMPLES - 2)
    size.record(TARGET_SECONDS * 2)
    size.record(TARGET_SECONDS * 2)

    assert size.blocks == FIRST_BLOCKS / 2


def test_it_stays_where_batches_take_the_time_they_should() -> None:
    assert record(BatchSize(HUGE), TARGET_SECONDS, 100).blocks == FIRST_BLOCKS


def test_a_batch_that_was_far_too_long_divides_it_by_ten_and_there_is_always_a_block() -> None:
    size = BatchSize(HUGE)
    size.shrink()
    assert size.blocks == FIRST_BLOCKS // 10

    for _ in range(9):
        size.shrink()
    assert size.blocks == 1
