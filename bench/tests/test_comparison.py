"""The ratios of `--against`, their spread and the conclusions in the report."""

import math

import pytest
from comparison import Comparison, Round, alternate, compare, report


def rounds(*values: tuple[float, float]) -> list[Round]:
    """Returns rounds with one figure, each with an old and a new value."""
    return [({"CPU, us": old}, {"CPU, us": new}) for old, new in values]


def only(*values: tuple[float, float]) -> Comparison:
    (comparison,) = compare(rounds(*values))
    return comparison


def test_each_round_has_its_own_ratio_of_new_to_old() -> None:
    assert only((100, 50), (200, 150), (400, 400)).ratios == (0.5, 0.75, 1.0)


def test_both_values_are_medians_over_the_rounds() -> None:
    comparison = only((100, 7), (900, 5), (200, 6))

    assert (comparison.old, comparison.new) == (200, 6)


def test_drift_that_affects_both_revisions_does_not_change_the_ratio() -> None:
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
def test_ratios_are_a_difference_only_if_their_spread_does_not_contain_1(
    values: tuple[tuple[float, float], ...], verdict: str
) -> None:
    assert only(*values).verdict == verdict


def test_a_count_that_is_0_in_both_revisions_is_no_difference() -> None:
    comparison = only((0, 0), (0, 0))

    assert (comparison.ratios, comparison.verdict) == ((1.0, 1.0), "no difference seen")


def test_the_ratio_of_a_count_that_was_0_is_infinite() -> None:
    assert only((0, 3)).ratios == (math.inf,)


def test_figures_are_compared_in_the_order_of_the_round() -> None:
    figures = {"requests/s": 5.0, "CPU, us": 3.0}

    assert [comparison.name for comparison in compare([(figures, figures)])] == ["requests/s", "CPU, us"]


def test_the_report_shows_the_median_ratio_its_spread_and_the_chance_of_error() -> None:
    assert report("v1 (0123abc)", "the working tree", rounds((1000, 500), (1000, 750), (1000, 800))) == (
        "Old: v1 (0123abc). New: the working tree. Rounds: 3.\n\n"
        "figure   old    new  new/old  minimum to maximum\n"
        "CPU, us  1,000  750  0.750    0.500 to 0.800      lower in every round\n\n"
        "About 1 in 4 unchanged figures is higher in every round or lower in every round by chance. Set --rounds to a "
        "higher number to reduce the chance of a wrong conclusion."
    )


def test_the_report_of_one_round_says_that_there_is_no_spread() -> None:
    assert report("old", "new", rounds((2, 1))).splitlines()[2:] == [
        "figure   old  new  new/old  minimum to maximum",
        "CPU, us  2    1    0.500    one round",
        "",
        "One round cannot distinguish a real difference from noise. Set --rounds to a higher number.",
    ]


def test_the_revision_that_is_measured_first_alternates() -> None:
    assert [alternate(("old", "new"), round_)[0] for round_ in range(4)] == ["old", "new", "old", "new"]
