"""A gene is found by what a person types of its name."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from napari_prts.analysis.gene_search import EXACT, INSIDE, PREFIX, SIMILAR, GeneSearch
from napari_prts.errors import ExpressionError

# Real symbols: human genes are written in capitals, mouse genes with one.
HUMAN = [
    *("EPCAM", "ERBB2", "ERBB3", "ERBB4", "KRT5", "KRT8", "KRT14", "KRT18", "KRT19", "KRTCAP2"),
    *("CD3D", "CD3E", "CD3G", "CD33", "CD34", "CD300A", "GAPDH", "GPATCH3", "HLA-DRA", "HLA-DRB1"),
    *("HLA-A", "PECAM1", "VWF", "COL1A1", "COL1A2", "COL17A1", "MKI67", "MT-CO1", "MT-ND1", "TP53"),
    *("PTPRC", "ACTA2"),
]
MOUSE = [
    *("Snap25", "Slc17a6", "Slc17a7", "Slc1a2", "Slc1a3", "Gad1", "Gad2", "Gfap", "Aqp4", "Mbp"),
    *("Mobp", "Mog", "Plp1", "Olig1", "Olig2", "Lgi2", "Nkx2-1", "Nkx2-2", "Cx3cr1", "mt-Co1"),
    *("H2-K1", "Rbfox3", "Pecam1", "Cldn5", "Camk2a", "Calb1", "Calb2", "Th", "Pvalb", "Sst"),
    "Vip",
]


def found(genes: list[str], typed: str, most: int = 50) -> list[str]:
    return [hit.gene for hit in GeneSearch.of(genes).find(typed, most)]


@pytest.mark.parametrize("typed", ["epcam", "EPCAM", "EpCAM", " epcam "])
def test_capitals_and_blanks_do_not_matter(typed: str) -> None:
    (hit, *_) = GeneSearch.of(HUMAN).find(typed)
    assert (hit.gene, hit.found_by, hit.similarity) == ("EPCAM", EXACT, 1.0)
    assert HUMAN[hit.column] == "EPCAM"


def test_mouse_genes_are_found_by_human_spelling_and_the_other_way_round() -> None:
    assert found(MOUSE, "OLIG2")[0] == "Olig2"
    assert found(HUMAN, "Mki67")[0] == "MKI67"


def test_signs_in_a_name_need_not_be_typed() -> None:
    assert found(HUMAN, "hladra")[0] == "HLA-DRA"
    assert found(HUMAN, "hla dra")[0] == "HLA-DRA"
    assert found(MOUSE, "nkx2.1")[0] == "Nkx2-1"
    assert found(MOUSE, "mtco1")[0] == "mt-Co1"


def test_the_whole_name_comes_before_names_that_begin_with_it() -> None:
    genes = ["THY1", "TH", "THBS1", "PTH"]
    hits = GeneSearch.of(genes).find("th")
    assert [(hit.gene, hit.found_by) for hit in hits] == [
        ("TH", EXACT),
        ("THY1", PREFIX),
        ("THBS1", PREFIX),
        ("PTH", INSIDE),
    ]


def test_short_names_come_before_long_ones() -> None:
    assert found(HUMAN, "cd3", most=6) == ["CD33", "CD34", "CD3D", "CD3E", "CD3G", "CD300A"]
    assert found(HUMAN, "krt") == ["KRT5", "KRT8", "KRT14", "KRT18", "KRT19", "KRTCAP2"]


@pytest.mark.parametrize(
    ("genes", "typed", "meant"),
    [
        (HUMAN, "gpadh", "GAPDH"),
        (HUMAN, "errb2", "ERBB2"),
        (HUMAN, "pecma1", "PECAM1"),
        (HUMAN, "epcma", "EPCAM"),
        (HUMAN, "mki76", "MKI67"),
        (MOUSE, "olgi2", "Olig2"),
        (MOUSE, "slx17a7", "Slc17a7"),
        (MOUSE, "snap52", "Snap25"),
        (MOUSE, "camk2b", "Camk2a"),
    ],
)
def test_typing_errors_are_forgiven(genes: list[str], typed: str, meant: str) -> None:
    (hit, *_) = GeneSearch.of(genes).find(typed)
    assert (hit.gene, hit.found_by) == (meant, SIMILAR)
    assert hit.similarity < 1


def test_the_middle_of_a_name_is_enough() -> None:
    hits = GeneSearch.of(HUMAN).find("17a1")
    assert (hits[0].gene, hits[0].found_by) == ("COL17A1", INSIDE)


def test_nothing_typed_finds_nothing() -> None:
    assert found(HUMAN, "") == found(HUMAN, " -. ") == []
    assert found(HUMAN, "krt", most=0) == []
    assert found(HUMAN, "qqqqqq") == []


def test_each_gene_is_found_once_and_no_more_than_asked_for() -> None:
    genes = found(HUMAN, "krt1")
    assert len(genes) == len(set(genes))
    assert len(found(HUMAN, "c", most=3)) == 3


def test_every_real_name_finds_itself_first(shared_data: Path) -> None:
    with gzip.open(shared_data / "her2st" / "B4.counts.tsv.gz", "rt") as file:
        genes = file.readline().split()
    search = GeneSearch.of(genes)
    assert len(genes) > 10_000
    for gene in genes[::50]:
        assert search.find(gene.lower(), most=1)[0].gene == gene


def test_names_must_be_there_and_differ() -> None:
    with pytest.raises(ExpressionError, match="no genes"):
        GeneSearch.of([])
    with pytest.raises(ExpressionError, match="MBP is named more than once"):
        GeneSearch.of(["GFAP", "MBP", "MBP"])
