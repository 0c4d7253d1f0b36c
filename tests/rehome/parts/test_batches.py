"""How large a batch is, as the last ones took their time."""

import pytest

from rehome.parts.batches import (
    BESIDE_WRITERS_SECONDS,
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


def test_it_shrinks_with_most_of_its_batches_and_not_with_a_few_that_waited() -> None:
    assert record(BatchSize(HUGE), TARGET_SECONDS * 2).blocks == FIRST_BLOCKS / 2

    size = record(BatchSize(HUGE), TARGET_SECONDS, SAMPLES - 3)
    assert record(size, TARGET_SECONDS * 10, 3).blocks == FIRST_BLOCKS


def test_it_stays_where_batches_take_the_time_they_should() -> None:
    assert record(BatchSize(HUGE), TARGET_SECONDS, 100).blocks == FIRST_BLOCKS


def test_a_batch_that_was_far_too_long_divides_it_by_ten_and_there_is_always_a_block() -> None:
    size = BatchSize(HUGE)
    size.shrink()
    assert size.blocks == FIRST_BLOCKS // 10

    for _ in range(9):
        size.shrink()
    assert size.blocks == 1


def test_a_shorter_aim_makes_the_next_batch_smaller_and_a_longer_one_lets_it_grow_by_and_by() -> None:
    size = BatchSize(HUGE)
    size.aim(BESIDE_WRITERS_SECONDS)
    assert size.blocks == int(FIRST_BLOCKS * BESIDE_WRITERS_SECONDS / TARGET_SECONDS)
    assert record(size, BESIDE_WRITERS_SECONDS, 100).blocks == size.blocks
    fewer = size.blocks
    size.aim(TARGET_SECONDS)
    assert size.blocks == fewer
    assert record(size, BESIDE_WRITERS_SECONDS).blocks > fewer
