"""A model made ready once predicts few cells as it predicts many, to the bit."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from anndata import AnnData

from napari_prts.correlation import mean_pcc, pcc_per_gene
from napari_prts.errors import ExpressionError, ModelError
from napari_prts.expression import ModelBundle, PredictedCells, Predictor, PredictRequest, predict
from napari_prts.expression.bundle import FEWEST_TO_STANDARDISE
from napari_prts.expression.fitting import expected
from napari_prts.expression.inference import ReadyNetwork
from napari_prts.expression.lone_threads import LoneThreads
from napari_prts.expression.network import PrtsNetwork
from napari_prts.expression.scaling import GeneScaling
from napari_prts.expression.threshold import cut
from napari_prts.jobs import run
from tests.expression.sections import Section
from tests.expression.test_sections import make_sections, trained

PRECISIONS = ("float32", "bfloat16")


@pytest.fixture
def threads() -> Iterator[None]:
    """Whatever a test sets is set back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def table_of(section: Section, bundle: ModelBundle, precision: str, batch: int = 1024) -> AnnData:
    request = PredictRequest(batch, "cpu", precision)
    return run(predict(section.features, section.nuclei, section.slide, bundle, request))


def some_cells(
    section: Section, bundle: ModelBundle, precision: str, positions: np.ndarray
) -> PredictedCells:
    predictor = Predictor(bundle, PredictRequest(device="cpu", precision=precision))
    return predictor.cells(section.features.take(positions), section.slide.fingerprint)


def assert_same(cells: PredictedCells, table: AnnData, positions: np.ndarray) -> None:
    np.testing.assert_array_equal(cells.ids, table.obs["id"].to_numpy()[positions])
    np.testing.assert_array_equal(cells.expression, table.X[positions])
    np.testing.assert_array_equal(cells.p_expressed, table.layers["p_expressed"][positions])


def test_it_computes_what_the_network_does(section: Section, bundle: ModelBundle) -> None:
    scaling = bundle.scaling_of(section.slide.fingerprint)
    assert scaling is not None
    standardised = scaling.apply(section.features.matrix)
    parts = list(expected(bundle.network(), standardised, bundle.gene_scaling))
    counts, probability = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    found = some_cells(section, bundle, "float32", np.arange(len(standardised)))
    np.testing.assert_allclose(found.p_expressed, probability, rtol=1e-4, atol=1e-6)
    # At the threshold itself, rounding decides.
    clear = np.abs(probability - bundle.threshold) > 1e-4
    wanted = cut(counts, probability, bundle.threshold)
    np.testing.assert_allclose(found.expression[clear], wanted[clear], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_twice_the_same_is_the_same(section: Section, bundle: ModelBundle, precision: str) -> None:
    first, second = (table_of(section, bundle, precision) for _ in range(2))
    np.testing.assert_array_equal(first.X, second.X)
    np.testing.assert_array_equal(first.layers["p_expressed"], second.layers["p_expressed"])
    assert first.obs.equals(second.obs)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("number", [1, 3, 33, 257, 500])
def test_a_cell_does_not_depend_on_those_beside_it(
    section: Section, bundle: ModelBundle, precision: str, number: int
) -> None:
    table = table_of(section, bundle, precision)
    positions = np.random.default_rng(number).permutation(len(table))[:number]
    assert_same(some_cells(section, bundle, precision, positions), table, positions)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("batch", [1, 7, 100])
def test_a_table_does_not_depend_on_its_batches(
    section: Section, bundle: ModelBundle, precision: str, batch: int
) -> None:
    few = dataclasses.replace(section, features=section.features.take(np.arange(150)))
    whole, parts = (table_of(few, bundle, precision, size) for size in (1024, batch))
    np.testing.assert_array_equal(parts.X, whole.X)
    assert parts.obs.equals(whole.obs)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_cell_does_not_depend_on_the_number_of_threads(
    section: Section, bundle: ModelBundle, precision: str
) -> None:
    tables = []
    for count in (1, 3):
        torch.set_num_threads(count)
        tables.append(table_of(section, bundle, precision, 64))
    np.testing.assert_array_equal(tables[0].X, tables[1].X)
    assert tables[0].obs.equals(tables[1].obs)


@pytest.mark.usefixtures("threads")
def test_other_threads_compute_as_before() -> None:
    torch.set_num_threads(2)
    seen: list[int] = []
    workers = LoneThreads(3)
    alone = [count for _, count in workers.each(lambda _: torch.get_num_threads(), range(20))]
    other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert set(alone) == {1}
    assert [torch.get_num_threads(), *seen] == [2, 2]


def test_work_comes_in_its_order_and_stops_when_nobody_wants_more() -> None:
    done: list[int] = []
    results = LoneThreads(2).each(lambda piece: done.append(piece) or -piece, range(1000))
    assert [next(results) for _ in range(3)] == [(0, 0), (1, -1), (2, -2)]
    results.close()
    assert len(done) < 10


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.5, 0.6, 0.9999])
def test_only_genes_that_some_cell_expresses_are_computed(precision: str, threshold: float) -> None:
    """That a gene is left out for the cells beside it changes nothing."""
    torch.manual_seed(0)
    network = PrtsNetwork(20, 300).eval()
    # As in measured sections, most genes are expressed in few cells.
    torch.nn.init.normal_(network.expressed.bias, -1.5, 1.5)
    torch.nn.init.normal_(network.expressed.weight, 0, 0.05)
    scaling = GeneScaling(np.ones(300, np.float32), np.full(300, 4, np.float32))
    cells = np.random.default_rng(0).normal(size=(400, 20)).astype(np.float32)
    all_of_them, some = (
        ReadyNetwork(network, scaling, at, torch.device("cpu"), precision) for at in (0, threshold)
    )
    found = []
    for ready in (all_of_them, some):
        counts, probability = np.full((2, 400, 300), np.nan, np.float32)
        LoneThreads().do(lambda _, r=ready, c=counts, p=probability: r.predict(cells, c, p), None)
        found.append((counts, probability))
    (uncut, probability), (counts, again) = found
    np.testing.assert_array_equal(again, probability)
    np.testing.assert_array_equal(counts, cut(uncut, probability, threshold))


def test_bfloat16_says_the_same_of_each_gene(section: Section, bundle: ModelBundle) -> None:
    measured = np.log1p(section.measured.X.toarray())
    # Whether a cell lies just above the threshold or just below is chance, in any precision.
    uncut = dataclasses.replace(bundle, card={**bundle.card, "threshold": 0.0})
    exact, quick = (table_of(section, uncut, precision) for precision in PRECISIONS)
    assert pcc_per_gene(quick.X, exact.X).min() > 0.9998
    pcc = [mean_pcc(np.log1p(table.X), measured) for table in (exact, quick)]
    assert abs(pcc[0] - pcc[1]) < 1e-3
    np.testing.assert_allclose(quick.obs["distance"], exact.obs["distance"], rtol=1e-4)
    assert [t.uns["prts"]["precision"] for t in (exact, quick)] == list(PRECISIONS)


def test_bfloat16_moves_few_cells_across_the_threshold(
    section: Section, bundle: ModelBundle
) -> None:
    measured = np.log1p(section.measured.X.toarray())
    exact, quick = (table_of(section, bundle, precision) for precision in PRECISIONS)
    assert np.mean((exact.X > 0) != (quick.X > 0)) < 2e-3
    pcc = [mean_pcc(np.log1p(table.X), measured) for table in (exact, quick)]
    assert abs(pcc[0] - pcc[1]) < 1e-3


def test_the_precision_must_be_one_of_three() -> None:
    with pytest.raises(ExpressionError, match="precision is 'float16'; choose one of auto"):
        PredictRequest(precision="float16")


def test_few_cells_of_a_new_slide_wait_for_what_is_usual_there() -> None:
    """A model that standardises each slide by its own is told how before the first cell."""
    sections = make_sections(cells=150)
    bundle = trained(sections[:2], standardise="section")
    new = sections[2]
    table = table_of(new, bundle, "float32")
    predictor = Predictor(bundle, PredictRequest(device="cpu", precision="float32"))
    fingerprint, positions = new.slide.fingerprint, np.array([8, 3])
    with pytest.raises(ExpressionError, match="give them by with_slide"):
        predictor.cells(new.features.take(positions), fingerprint)
    with pytest.raises(ExpressionError, match=f"{FEWEST_TO_STANDARDISE - 1} are too few"):
        predictor.with_slide(new.features.take(np.arange(FEWEST_TO_STANDARDISE - 1)), fingerprint)
    knowing = predictor.with_slide(new.features, fingerprint)
    assert_same(knowing.cells(new.features.take(positions), fingerprint), table, positions)
    # It also serves a job that predicts some cells with all that a table says of them.
    again = predict(new.features.take(positions), new.nuclei, new.slide, bundle, None, knowing)
    assert run(again).obs.equals(table.obs.iloc[positions])
    # Slides that trained are known.
    old = sections[0]
    assert predictor.with_slide(old.features, old.slide.fingerprint) is predictor
    assert len(predictor.cells(old.features.take(positions), old.slide.fingerprint).ids) == 2


def test_features_by_another_encoder_are_refused(section: Section, bundle: ModelBundle) -> None:
    other = dataclasses.replace(section.features, encoder_key="made-up-2")
    with pytest.raises(ModelError, match="trained with encoder made-up"):
        Predictor(bundle).cells(other, section.slide.fingerprint)


def test_a_job_can_be_closed_between_batches(section: Section, bundle: ModelBundle) -> None:
    request = PredictRequest(batch=10, device="cpu")
    job = predict(section.features, section.nuclei, section.slide, bundle, request)
    seen = [next(job).done for _ in range(3)]
    job.close()
    assert seen == [0, 10, 20]
