"""Finding the image of a run: what the run was told, or the only image there; never a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_prts.visium_hd import find_slide


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run, with one folder of bins."""
    run = tmp_path / "sample345"
    (run / "outs" / "binned_outputs" / "square_002um").mkdir(parents=True)
    return run


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "he section.tif"
    path.parent.mkdir()
    path.write_bytes(b"")
    return path


def _invoke(run: Path, *images: Path | str) -> None:
    listed = "\n".join(f'            "{image}",' for image in images)
    (run / "_invocation").write_text(
        '@include "rna/spatial_rna_counter_cs.mro"\n\ncall SPATIAL_RNA_COUNTER_CS(\n'
        '    sample_id = "sample345",\n'
        f"    tissue_image_paths = [\n{listed}\n    ],\n"
        '    cytassist_image_paths = ["/runs/cytassist.tif"],\n)\n'
    )


@pytest.mark.parametrize("start", ["", "outs", "outs/binned_outputs/square_002um"])
def test_the_image_that_the_run_was_told(run: Path, image: Path, start: str) -> None:
    _invoke(run, image)
    assert find_slide(run / start) == image


@pytest.mark.parametrize("option", ["--image={}", "--image {}"])
def test_the_image_of_the_command_line(run: Path, image: Path, option: str) -> None:
    told = option.format(f"'{image}'")
    (run / "_cmdline").write_text(f"/opt/spaceranger count --id=sample345 {told} --slide=H1-ABC\n")
    assert find_slide(run) == image


def test_after_a_move_the_image_of_that_name_beside_the_results(run: Path) -> None:
    _invoke(run, "/cluster/scratch/section.btf")
    assert find_slide(run) is None
    (run / "outs" / "section.btf").write_bytes(b"")
    assert find_slide(run) == run / "outs" / "section.btf"


def test_the_only_image_of_a_published_data_set(run: Path) -> None:
    published = run / "outs" / "Visium_HD_Mouse_Brain_tissue_image.btf"
    published.write_bytes(b"")
    assert find_slide(run) == published
    folder = run / "outs" / "microscope_image"
    folder.mkdir()
    (folder / "notes.txt").write_text("")
    (folder / "brain.tif").write_bytes(b"")
    assert find_slide(run) == folder / "brain.tif"


def test_between_several_images_nothing_is_guessed(run: Path, image: Path) -> None:
    for name in ("a_tissue_image.tif", "b_tissue_image.tif"):
        (run / "outs" / name).write_bytes(b"")
    assert find_slide(run) is None
    _invoke(run, image, image.with_name("dapi.tif"))
    assert find_slide(run) is None


def test_the_small_images_and_cytassists_are_never_taken(run: Path) -> None:
    spatial = run / "outs" / "spatial"
    spatial.mkdir()
    for name in ("tissue_hires_image.png", "cytassist_image.tiff"):
        (spatial / name).write_bytes(b"")
    assert find_slide(run) is None
    _invoke(run)
    assert find_slide(run) is None
