"""Do the figures show what was found: the right curves, the marked points, words that say so?"""

import math
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.colors import to_hex

from reports.drawing import SECOND, WON, apart, limits, spans
from reports.figures import CAPTIONS, _shades, figures
from reports.stages import StageResults
from studies.curves import HEALTHY
from studies.plan import Plan, constant
from studies.trial import Metric, Point, State, Trial
from tests.reports.sample import METRIC, STEPS, stage1, stage2, stage3, stage4, study, trial


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def title(figure):
    return " ".join(figure.axes[0].get_title(loc="left").split())


def coloured(axes, colour):
    return [line for line in axes.lines if to_hex(line.get_color()) == colour]


def drawn(figure):
    """Drawn once, small."""
    figure.set_dpi(30)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).std() > 0


@pytest.fixture(scope="module")
def sweep():
    return figures(stage1())


@pytest.fixture(scope="module")
def search():
    return figures(stage2())


@pytest.fixture(scope="module")
def decay():
    return figures(stage3())


@pytest.fixture(scope="module")
def bag():
    return figures(stage4())


def test_each_stage_has_the_figures_that_the_text_looks_at(sweep, search, decay, bag):
    assert list(sweep) == ["loss", "validation", "convergence", "update_ratio"]
    assert list(search) == ["cells", "loss", "validation", "convergence", "update_ratio"]
    assert list(decay) == ["decays", "update_ratio"]
    assert list(bag) == ["tricks", "update_ratio"]
    assert {*sweep, *search, *decay, *bag, "ways"} == set(CAPTIONS)
    for made in (sweep, search, decay, bag):
        assert all(drawn(figure) for figure in made.values())


def test_each_trick_has_its_value_and_interval_and_the_winner_stands_out(bag):
    [axes], decision = bag["tricks"].axes, stage4().decision
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert set(labels) == {"+ flip", "+ mixup", "as it is"} and title(bag["tricks"]) == "+ flip helps"
    interval, spot = coloured(axes, WON)
    assert tuple(interval.get_xdata()) == decision.interval
    assert labels[int(spot.get_ydata()[0])] == "+ flip" and spot.get_xdata()[0] == decision.value


def test_the_ways_of_stage_5_have_a_caption_of_their_own_and_a_whole_title():
    told = "The plain winner has accuracy 0.9; more than seed noise is gained by nothing of this"
    made = figures(replace(stage4(), name="stage5", decision=stage4().decision.model_copy(update={"words": (f"{told}.",)})))
    assert list(made) == ["ways", "update_ratio"] and title(made["ways"]) == told


def test_the_sweep_names_every_rate_at_its_curve(sweep):
    axes = sweep["loss"].axes[0]
    assert set(texts(sweep["loss"])) == {"0.3", "0.1", "0.03", "0.01", "0.001", "0.0001", "1 diverged"}
    assert axes.get_yscale() == "log" and axes.get_ylabel() == "training loss, log scale" and axes.get_xlabel() == "steps"
    curves = [line for line in axes.lines if len(line.get_xdata()) > 1]
    assert len(curves) == 7  # the failed one never had a point


def test_the_winner_stands_in_front(sweep):
    [won] = coloured(sweep["loss"].axes[0], WON)
    [other] = coloured(sweep["loss"].axes[0], SECOND)
    assert won.get_linewidth() > other.get_linewidth() and won.get_zorder() > other.get_zorder()
    expected = [value for _, value in stage1().trials[3].curve("train_loss")]
    assert won.get_ydata().tolist() == expected
    assert title(sweep["loss"]) == "lr 0.1 falls fastest and deepest"


@pytest.mark.parametrize(
    ("value", "tie", "told"),
    [
        (0.999, False, "lr 0.03 does not fall deepest, but validates best"),
        (0.5, False, "lr 0.03 is taken"),
        (0.999, True, "lr 0.03 is taken, a tie"),
    ],
)
def test_a_winner_that_does_not_fall_deepest_is_told_no_better_than_it_is(value, tie, told):
    stage = stage1()
    rows = (one.model_copy(update={"value": value} if one.plan.lr == 0.03 else {}) for one in stage.decision.evidence)
    changed = {"winner": stage.trials[4].plan, "evidence": tuple(rows), "tie": tie}
    assert title(figures(replace(stage, decision=stage.decision.model_copy(update=changed)))["loss"]) == told


@pytest.mark.parametrize("below", [0, 10])
def test_the_deepest_is_who_is_seen_to_end_deepest(below):
    plans = constant(Plan(), 0.1, 400), constant(Plan(), 0.01, 400)
    losses = (1.0, 0.9, 0.8, 0.7), (1.0, 0.95, 0.9, 0.1)
    given = [tuple(Point(100 * i, {"train_loss": loss - below}) for i, loss in enumerate(one, 1)) for one in losses]
    trials = [Trial(i, plan, State.COMPLETE, points) for i, (plan, points) in enumerate(zip(plans, given))]
    decision = stage1().decision.model_copy(update={"winner": plans[0], "evidence": (), "marks": {}})
    assert "deepest" not in title(figures(StageResults("stage1", METRIC, trials, decision))["loss"])


def test_an_extended_trial_has_its_name_where_it_has_come_to():
    stage = stage1(decided=False)
    further = [*stage.trials, trial(8, constant(Plan(), 0.0001, STEPS))]
    [name] = [one for one in figures(replace(stage, trials=further))["loss"].axes[0].texts if one.get_text() == "0.0001"]
    assert name.get_position()[0] > 1


def test_a_diverged_curve_is_marked_where_it_ended_and_crushes_nothing(sweep):
    axes = sweep["loss"].axes[0]
    [cross] = [line for line in axes.lines if line.get_marker() == "x"]
    assert cross.get_xdata() == [300]  # the last finite point
    low, high = axes.get_ylim()
    assert low <= cross.get_ydata()[0] <= high < 10  # although the loss went to 1e8


def test_labels_do_not_lie_on_each_other(sweep):
    figure = sweep["loss"]
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not [1 for i, one in enumerate(boxes) for other in boxes[:i] if one.overlaps(other)]


def test_convergence_marks_the_step_and_the_margin(sweep):
    figure = sweep["convergence"]
    assert len(figure.axes) == 2 and figure.axes[0].get_shared_x_axes().joined(*figure.axes)
    for axes in figure.axes:
        verticals = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2]
        assert verticals == [4000, 6000]
        [dot] = [line for line in axes.lines if line.get_marker() == "o"]
        assert dot.get_xdata() == [4000]
    assert texts(figure) == ["converged\n4,000", "safety margin\n6,000"]
    assert title(figure) == "Converged at step 4,000; with the safety margin, 6,000 steps"


def test_words_beside_a_mark_near_the_axis_and_a_long_name_cover_no_numbers():
    metric = Metric(name="a_very_long_name_of_a_metric_that_somebody_has_thought_of", mode="max")
    given = [replace(one, points=tuple(renamed(one.points, metric.name))) for one in stage1().trials]
    decision = stage1().decision.model_copy(update={"metric": metric, "marks": {"converged": 100, "step_nums": 600}})
    figure = figures(StageResults("stage1", metric, given, decision))["convergence"]
    figure.canvas.draw()
    above, below = figure.axes
    assert all(text.get_window_extent().x0 >= above.get_window_extent().x0 for text in above.texts)
    assert not above.yaxis.label.get_window_extent().overlaps(below.yaxis.label.get_window_extent())


def test_the_heat_map_has_a_cell_a_pair_and_frames_the_winner(search):
    axes = search["cells"].axes[0]
    assert len(axes.texts) == 16 and len(axes.patches) == 17
    frame = axes.patches[[patch.get_fill() for patch in axes.patches].index(False)]
    momenta, batches = ([text.get_text() for text in labels] for labels in (axes.get_xticklabels(), axes.get_yticklabels()))
    won = momenta.index("0.9"), batches.index("64")
    assert (frame.get_x() + 0.48, frame.get_y() + 0.46) == pytest.approx(won)
    told = {text.get_position(): text.get_text() for text in axes.texts}
    assert told[momenta.index("0"), batches.index("16")] == "diverged"
    assert float(told[won]) == pytest.approx(stage2().decision.value, abs=1e-3)
    assert title(search["cells"]).startswith("batch size 64 with momentum 0.9: accuracy 0.9") and title(search["cells"]).endswith(
        "a tie"
    )


def test_better_cells_are_brighter_in_either_direction():
    def brightness(mode):
        stage = stage2()
        metric = Metric(name="accuracy", mode=mode)
        stage = replace(stage, metric=metric, decision=stage.decision.model_copy(update={"metric": metric}))
        axes = figures(stage)["cells"].axes[0]
        cells = {(patch.get_x(), patch.get_y()): sum(patch.get_facecolor()[:3]) for patch in axes.patches if patch.get_fill()}
        values = {}
        for text in axes.texts:
            x, y = text.get_position()
            if text.get_color() not in ("#57616b",):
                values[x - 0.48, y - 0.46] = float(text.get_text())
        places = sorted(values, key=values.get)
        return [cells[place] for place in places]

    up, down = brightness("max"), brightness("min")
    assert up == sorted(up) and len(up) > 5
    assert down == sorted(down, reverse=True)


@pytest.mark.parametrize("values, mode", [((1.0, 1.0, 1.0, 0.5), "max"), ((0.1, 0.1, 0.1, 0.5), "min")])
def test_what_is_worse_than_the_many_best_is_darker(values, mode):
    shade = _shades(pd.Series(values), Metric(name="accuracy", mode=mode))
    assert sum(shade(values[3])[0][:3]) < sum(shade(values[0])[0][:3])


@pytest.mark.parametrize(("every", "most"), [(11, 10), (2.2, 4)])
def test_a_random_search_is_a_scatter_with_its_winner_in_front(every, most):
    stage = stage2(tuple(range(16, 200, 20)), tuple(1 - 0.8**i for i in range(1, 11)))
    winner = next(one.number for one in stage.trials if one.plan == stage.decision.winner)
    kept = [one for one in stage.trials if one.number % every < 1 or one.number == winner]
    numbers = {one.number for one in kept}
    decision = stage.decision
    decision = decision.model_copy(update={"evidence": tuple(one for one in decision.evidence if numbers & set(one.trials))})
    axes = figures(replace(stage, trials=kept, decision=decision))["cells"].axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(dots) == len(decision.evidence) and axes.get_xscale() == "log"
    [framed] = [dot for dot in dots if to_hex(dot.get_markeredgecolor()) == SECOND]
    assert framed.get_xdata() == [decision.winner.batch_size]
    assert framed.get_zorder() > max(dot.get_zorder() for dot in dots if dot is not framed)
    assert len(axes.texts) <= most and f"{decision.evidence[0].value:.4g}" == axes.texts[0].get_text()


def test_decays_share_the_steps_with_their_schedules(decay):
    above, below = decay["decays"].axes
    assert above.get_shared_x_axes().joined(above, below)
    assert above.get_ylabel() == "accuracy" and below.get_ylabel() == "learning rate"
    curves = [line for line in above.lines if len(line.get_xdata()) > 2]
    assert len(curves) == len([line for line in below.lines if len(line.get_xdata()) > 2]) == 6
    [rate] = [line for line in coloured(below, WON) if len(line.get_xdata()) > 2]
    assert rate.get_ydata()[0] == 0.1 and rate.get_ydata()[-1] < 0.001 and rate.get_drawstyle() == "steps-post"
    assert rate.get_xdata()[-1] == STEPS
    assert {"x 0.5 every 400", "lazy linear", "constant"} <= set(texts(decay["decays"]))


def test_decays_mark_the_old_peak_and_the_start(decay):
    above, below = decay["decays"].axes
    [dot] = [line for line in above.lines if line.get_marker() == "o"]
    assert dot.get_xdata() == [3000] and "constant rate at its best,\nstep 3,000" in texts(decay["decays"])
    assert [line.get_xdata()[0] for line in below.lines if len(line.get_xdata()) == 2] == [2700]
    decision = stage3().decision
    assert title(decay["decays"]).startswith("x 0.5 every 400 takes accuracy from 0.96")
    assert title(decay["decays"]).endswith(f"{decision.value:.4g}")


def test_a_curve_of_several_seeds_is_their_mean(decay):
    [won] = [line for line in coloured(decay["decays"].axes[0], WON) if len(line.get_xdata()) > 2]
    stage = stage3()
    seeds = [stage.trials[number].curve("accuracy") for number in stage.decision.evidence[0].trials]
    assert won.get_ydata()[-1] == pytest.approx(np.mean([curve[-1][1] for curve in seeds]))


def test_how_many_seeds_a_schedule_has_is_told_beside_its_name():
    stage = stage3()
    lazy = stage.decision.runner_up
    kept = [one for one in stage.trials if one.plan.line == lazy.line or one.plan.segments != lazy.segments]
    figure = figures(replace(stage, trials=kept))["decays"]
    figure.canvas.draw()
    boxes = {text.get_text(): text.get_window_extent() for text in figure.axes[0].texts}
    others = [box for text, box in boxes.items() if "lazy" not in text]
    assert not any(boxes["lazy linear, 1 seed of 3"].overlaps(box) for box in others)


def test_an_insensitive_decay_says_so():
    stage = stage3()
    control = next(one for one in stage.decision.evidence if one.label == "constant")
    decision = stage.decision.model_copy(update={"winner": control.plan, "value": control.value, "interval": None, "marks": {}})
    made = figures(replace(stage, decision=decision))
    assert title(made["decays"]).startswith("Decay gains nothing: accuracy stays at")


def test_the_update_ratio_lies_in_its_band(sweep):
    axes = sweep["update_ratio"].axes[0]
    [band] = axes.patches
    low, high = band.get_extents().transformed(axes.transData.inverted()).intervaly
    assert (low, high) == pytest.approx((HEALTHY / math.sqrt(10), HEALTHY * math.sqrt(10)))
    assert axes.get_yscale() == "log" and "rule of thumb: around 0.001" in texts(sweep["update_ratio"])
    assert title(sweep["update_ratio"]).startswith("The winner's steps move the weights by 0.00")


def test_a_winner_whose_steps_are_wide_stays_in_the_frame():
    stage = stage1()
    wide = tuple(replace(point, values={**point.values, "update_ratio": 2.6}) for point in stage.trials[3].points)
    trials = [replace(one, points=wide) if one.number == 3 else one for one in stage.trials]
    figure = figures(replace(stage, trials=trials))["update_ratio"]
    assert "by 2.6 of" in title(figure) and figure.axes[0].get_ylim()[1] > 2.6


def alone(values, mode="max", state=State.COMPLETE):
    plan = constant(Plan(), 0.1, 100 * len(values))
    given = tuple(Point(100 * i, {"accuracy": value, "train_loss": value}) for i, value in enumerate(values, 1))
    return StageResults("stage1", Metric(name="accuracy", mode=mode), [Trial(0, plan, state, given)])


STRANGE = {
    "one point": [0.5],
    "one value": [0.5] * 5,
    "nothing but zero": [0.0] * 5,
    "nothing finite": [math.nan, math.inf, -math.inf],
    "negative": [-1.0, -5.0, -20.0],
    "through zero": [10.0, 0.0, -10.0],
    "enormous": [1e300, 1e-300, 1.0],
    "holes": [0.5, math.nan, 0.1, math.inf, 0.05],
}


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("name", STRANGE)
def test_whatever_a_curve_does_it_is_drawn(name, mode):
    for state in (State.COMPLETE, State.DIVERGED):
        for figure in figures(alone(STRANGE[name], mode, state)).values():
            assert drawn(figure)


def test_before_there_is_anything_to_be_seen_there_is_no_figure():
    assert figures(StageResults("stage1", METRIC, [])) == {}
    assert figures(StageResults("stage3", METRIC, [])) == {}
    assert figures(StageResults("stage1", METRIC, [Trial(0, constant(Plan(), 0.1, 10))])) == {}


def test_a_stage_under_way_is_shown_without_a_finding():
    made = figures(stage1(decided=False))
    assert list(made) == ["loss", "validation", "update_ratio"] and title(made["loss"]) == "Training loss"
    for stage in study()[1:]:
        for figure in figures(replace(stage, decision=None)).values():
            assert drawn(figure)


def test_marks_that_are_missing_are_left_out():
    for stage in study():
        made = figures(replace(stage, decision=stage.decision.model_copy(update={"marks": {}})))
        assert "convergence" not in made and all(drawn(figure) for figure in made.values())


def test_two_hundred_trials_keep_few_labels():
    trials = [trial(i, constant(Plan(), 10 ** (-i / 40), STEPS), upto=500) for i in range(200)]
    made = figures(StageResults("stage1", METRIC, trials))
    axes = made["loss"].axes[0]
    assert len(axes.lines) == 200 and len(axes.texts) <= 12
    assert drawn(made["loss"])


def test_a_metric_of_mathematics_is_not_read_as_such():
    metric = Metric(name="top$_\\frac{", mode="max")
    given = [replace(one, points=tuple(renamed(one.points, metric.name))) for one in stage1().trials]
    decision = stage1().decision.model_copy(update={"metric": metric})
    made = figures(StageResults("stage1", metric, given, decision))
    assert drawn(made["validation"]) and drawn(made["convergence"])


def renamed(given, name):
    for point in given:
        yield replace(point, values={**point.values, name: point.values["accuracy"]})


def test_drawing_leaves_no_state_behind():
    before = dict(matplotlib.rcParams)
    figures(stage1())
    assert dict(matplotlib.rcParams) == before and not Gcf.figs


def test_labels_are_moved_apart_but_not_out():
    placed = apart([0.5, 0.5, 0.51, 0.99, 1.0], 0.1)
    assert max(placed) <= 1 and min(b - a for a, b in zip(sorted(placed), sorted(placed)[1:])) >= 0.1 - 1e-9
    assert apart([0.2, 0.8], 0.1) == [0.2, 0.8] and apart([], 0.1) == []
    assert len(apart([0.5] * 50, 0.1)) == 50


def test_limits_follow_the_sound_curves():
    falling = np.geomspace(2, 0.01, 50)
    low, high = limits([falling, np.array([2.0, 1e9, math.inf])], True)
    assert low < 0.01 and 2 < high < 20
    assert limits([np.array([math.nan])], True) is None
    assert spans([falling]) and not spans([np.array([1.0, 2.0])]) and not spans([np.array([-1.0, 5.0])])
