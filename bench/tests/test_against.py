"""The ratios of `--against`: what they are, how they spread, and what is said of them."""

import math

import pytest
from against import Comparison, Round, compare, in_turn, report


def rounds(*values: tuple[float, float]) -> list[Round]:
    """Rounds of one figure, each of them an old and a new value."""
    return [({"CPU, us": old}, {"CPU, us": new}) for old, new in values]


def only(*values: tuple[float, float]) -> Comparison:
    (comparison,) = compare(rounds(*values))
    return comparison


def test_each_round_has_its_own_ratio_of_new_to_old() -> None:
    assert only((100, 50), (200, 150), (400, 400)).ratios == (0.5, 0.75, 1.0)


def test_both_values_are_medians_over_the_rounds() -> None:
    comparison = only((100, 7), (900, 5), (200, 6))

    assert (comparison.old, comparison.new) == (200, 6)


def test_drift_that_hits_both_revisions_leaves_the_ratio_alone() -> None:
    assert only((100, 90), (200, 180), (400, 360)).ratios == pytest.approx((0.9, 0.9, 0.9))


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (((100, 90), (100, 110)), "no difference seen"),
        (((100, 100), (100, 110)), "no difference seen"),
        (((7, 7), (7, 7)), "no difference seen"),
        (((100, 90), (100, 99)), "lower in every round"),
        (((100, 101), (100, 150)), "higher in every round"),
        (((100, 50),), ""),
    ],
)
def test_only_a_spread_without_1_is_a_difference(values: tuple[tuple[float, float], ...], verdict: str) -> None:
    assert only(*values).verdict == verdict


def test_a_count_that_is_0_in_both_revisions_is_no_difference() -> None:
    comparison = only((0, 0), (0, 0))

    assert (comparison.ratios, comparison.verdict) == ((1.0, 1.0), "no difference seen")


def test_a_count_that_was_0_and_no_longer_is_has_an_infinite_ratio() -> None:
    assert only((0, 3)).ratios == (math.inf,)


def test_every_figure_of_a_round_is_compared_in_its_order() -> None:
    figures = {"requests/s": 5.0, "CPU, us": 3.0}

    assert [each.name for each in compare([(figures, figures)])] == ["requests/s", "CPU, us"]


def test_the_report_shows_the_median_ratio_its_spread_and_how_far_to_trust_it() -> None:
    assert report("v1 (0123abc)", "the working tree", rounds((1000, 500), (1000, 750), (1000, 800))) == (
        "Old: v1 (0123abc). New: the working tree. Rounds: 3.\n\n"
        "figure   old    new  new/old  minimum to maximum\n"
        "CPU, us  1,000  750  0.750    0.500 to 0.800      lower in every round\n\n"
        "Of the figures that did not change, about 1 in 4 is still higher or lower in every round, by chance: the more "
        "--rounds, the fewer."
    )


def test_the_report_of_one_round_says_that_there_is_no_spread() -> None:
    assert report("old", "new", rounds((2, 1))).splitlines()[2:] == [
        "figure   old  new  new/old  minimum to maximum",
        "CPU, us  2    1    0.500    one round",
        "",
        "One round has no spread, so it cannot tell a difference from noise: use more --rounds.",
    ]


def test_the_revision_that_is_measured_first_alternates() -> None:
    assert [in_turn(("old", "new"), round_)[0] for round_ in range(4)] == ["old", "new", "old", "new"]
