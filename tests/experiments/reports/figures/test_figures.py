"""The content of figures: boxes, labels, lines and letters, not pixels."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from synthetic_grid import example_arrays

from common.experiments.reports.figures.boxes import draw_boxes
from common.experiments.reports.figures.examples import draw_predictions
from common.experiments.reports.figures.networks import draw_curves, draw_times, draw_variability
from common.experiments.reports.figures.style import HATCHES, MARKERS, STYLE, NothingToDraw, save_figure
from common.palette import COLOURS

METHODS, NETWORKS = ["benchmark", "aCCE", "marginal"], ["unet", "swin_unet"]
ORDER = {"method": METHODS, "network": NETWORKS}


def product(**columns: list[object]) -> pd.DataFrame:
    return pd.MultiIndex.from_product(columns.values(), names=list(columns)).to_frame(index=False)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_there_is_a_box_for_each_method_and_network_in_a_panel_for_each_class():
    scores = product(method=METHODS, network=NETWORKS, **{"class": ["lv", "la"]}, patient=list("pqr"))
    scores["dice"] = np.linspace(0.2, 0.9, len(scores))
    figure = draw_boxes(scores, "method", "network", ORDER)
    assert [len(axes.patches) for axes in figure.axes] == [6, 6]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["la", "LV"]
    assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == METHODS
    assert legend(figure) == ["unet", "swin unet"]
    assert len({patch.get_hatch() for patch in figure.axes[0].patches}) == 2


def test_a_box_shows_median_and_mean_of_its_own_patients():
    scores = product(method=["a", "b"], patient=list("pqr")).assign(network="unet", **{"class": "lv"})
    scores["dice"] = [0.1, 0.2, 0.9, 0.5, 0.6, 0.7]
    axes = draw_boxes(scores, "method", "network", {}).axes[0]
    stars = [line for line in axes.lines if line.get_marker() == "*"]
    assert [float(line.get_ydata()[0]) for line in stars] == pytest.approx([0.4, 0.6])
    medians = [line for line in axes.lines if line.get_linewidth() == 1.4]
    assert [float(line.get_ydata()[0]) for line in medians] == pytest.approx([0.2, 0.6])
    low, high = axes.get_ylim()
    assert low < 0.1
    assert high == 1.0


def test_a_method_without_results_leaves_its_place_empty():
    scores = pd.DataFrame(
        {"method": ["a", "b", "b"], "network": ["unet", "unet", "swin_unet"], "dice": [0.5, 0.6, 0.7]}
    )
    axes = draw_boxes(scores.assign(**{"class": "lv"}), "method", "network", ORDER).axes[0]
    assert len(axes.patches) == 3
    centres = sorted(patch.get_path().vertices[:, 0].mean() for patch in axes.patches)
    assert centres == pytest.approx([-0.2, 0.8, 1.2], abs=0.1)


def test_the_variability_has_a_point_per_cell_with_the_colour_and_marker_of_its_method():
    cells = product(method=METHODS, network=NETWORKS, label_dropout=[0.0, 0.5])
    cells["mean"], cells["sd"] = np.linspace(0.5, 0.9, 12), np.linspace(0.01, 0.05, 12)
    figure = draw_variability(cells, ORDER)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["unet", "swin unet"]
    for axes in figure.axes:
        assert [len(points.get_offsets()) for points in axes.collections] == [2, 2, 2]
        assert len({tuple(points.get_facecolor()[0]) for points in axes.collections}) == 3
        assert len({points.get_paths()[0].vertices.tobytes() for points in axes.collections}) == 3
    assert figure.axes[0].collections[0].get_offsets().tolist()[0] == pytest.approx([0.5, 0.01])
    assert legend(figure) == METHODS


def test_a_method_looks_the_same_whichever_others_are_in_the_figure():
    cells = product(method=METHODS, network=NETWORKS).assign(mean=0.5, sd=0.1, median=0.5, median_sd=0.1, p=0.0)
    every, alone = (draw_variability(one, ORDER) for one in (cells, cells[cells["method"] == "marginal"]))
    colours = [figure.axes[0].collections[-1].get_facecolor().tolist() for figure in (every, alone)]
    assert colours[0] == colours[1]
    curve = draw_curves(cells[cells["method"] == "marginal"], "p", None, ORDER).axes[0].containers[0].lines[0]
    assert mpl.colors.to_rgba(curve.get_color()) == pytest.approx(colours[0][0])
    assert curve.get_marker() == MARKERS[2]


def test_one_seed_has_no_variability():
    with pytest.raises(NothingToDraw, match="at least two seeds"):
        draw_variability(pd.DataFrame({"method": ["a"], "network": "unet", "mean": 0.5, "sd": float("nan")}), {})


def test_curves_have_points_error_bars_and_the_benchmark_across():
    cells = product(method=["aCCE", "marginal"], network=NETWORKS, label_dropout=[0.0, 0.4, 0.8])
    cells["median"], cells["median_sd"] = np.linspace(0.5, 0.9, 12), 0.02
    reference = pd.DataFrame({"method": "benchmark", "network": NETWORKS, "median": [0.85, 0.8]})
    figure = draw_curves(cells, "label_dropout", reference, ORDER)
    for axes, height in zip(figure.axes, (0.85, 0.8), strict=True):
        first, second = axes.containers
        assert first.lines[0].get_xdata() == pytest.approx([0.0, 0.4, 0.8], abs=0.01)
        assert first.lines[0].get_marker() != second.lines[0].get_marker()
        ends = [segment[:, 1] for segment in first.lines[2][0].get_segments()]
        assert [high - low for low, high in ends] == pytest.approx([0.04] * 3)
        assert [line.get_ydata()[0] for line in axes.lines if line.get_label() == "benchmark"] == [height]
        assert axes.get_xlabel() == "label dropout"
    assert sorted(legend(figure)) == ["aCCE", "benchmark", "marginal"]


def test_curves_need_a_setting_that_varies():
    cells = pd.DataFrame({"method": ["a"], "network": "unet", "median": 0.5, "median_sd": 0.1})
    for one in (cells, cells.assign(label_dropout=None)):
        with pytest.raises(NothingToDraw, match="does not vary label dropout"):
            draw_curves(one, "label_dropout", None, {})


def test_times_have_a_point_per_run_and_a_line_at_the_median():
    runs = product(network=NETWORKS, method=METHODS, seed=[0, 1, 2])
    runs["seconds"] = [1.0, 2.0, 9.0] * 6
    figure = draw_times(runs, ORDER)
    for axes in figure.axes:
        assert [len(points.get_offsets()) for points in axes.collections] == [3, 3, 3]
        assert [line.get_ydata()[0] for line in axes.lines] == [2.0, 2.0, 2.0]
        assert axes.get_ylim()[0] == 0
        assert axes.get_ylim()[1] > 9
    with pytest.raises(NothingToDraw, match="No run measured"):
        draw_times(runs.assign(seconds=float("nan")), ORDER)


def test_examples_are_rows_of_images_and_columns_of_methods():
    arrays = example_arrays(["camus_like", "unity_like"])
    figure = draw_predictions({"aCCE": arrays, "marginal": arrays}, ["unity_like"])
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["image", "annotation", "aCCE", "marginal", "", "", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["unity_like", "unity_like"]
    assert legend(figure) == ["LV cavity", "LV myocardium", "left atrium"]
    image, annotation, prediction = figure.axes[:3]
    assert len(image.images) == 1
    assert len(annotation.images) == len(prediction.images) == 4  # one shade per class
    shades = [np.asarray(axes.images[1].get_array())[..., 3] > 0 for axes in (annotation, prediction)]
    assert np.array_equal(np.roll(shades[0], 2, axis=0), shades[1])


def test_examples_of_different_images_or_none_cannot_be_drawn():
    arrays = example_arrays(["unity_like"])
    with pytest.raises(NothingToDraw, match="kept no example"):
        draw_predictions({}, ["unity_like"])
    with pytest.raises(NothingToDraw, match="no common example images of camus_like"):
        draw_predictions({"aCCE": arrays}, ["camus_like"])
    other = {**arrays, "name": arrays["name"][::-1]}
    with pytest.raises(NothingToDraw, match="no common example images"):
        draw_predictions({"aCCE": arrays, "marginal": other}, ["unity_like"])


def test_figures_are_legible_in_print(tmp_path: Path):
    runs = product(network=NETWORKS, method=METHODS, seed=[0, 1]).assign(seconds=1.0)
    before = mpl.rcParams["font.size"]
    with mpl.rc_context(STYLE):
        figure = draw_times(runs, ORDER)
        save_figure(figure, tmp_path / "times.png")
    assert mpl.rcParams["font.size"] == before
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 8
    with Image.open(tmp_path / "times.png") as image:
        assert image.size[0] == pytest.approx(300 * figure.get_size_inches()[0], abs=1)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["times.png"]


def test_colours_hatches_and_markers_do_not_repeat():
    for kinds in (COLOURS, HATCHES, MARKERS):
        assert len(set(kinds)) == len(kinds) >= 6
