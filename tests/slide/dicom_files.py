"""DICOM files to open, written with pydicom alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as PilImage
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

if TYPE_CHECKING:
    from tests.slide.conftest import Image

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
CT = "1.2.840.10008.5.1.4.1.1.2"


def tiles_of(image: Image, tile: int) -> list[Image]:
    """Cut an image into tiles, row by row; those that stand out are filled with white."""
    rows, columns = image.shape[:2]
    padding = [(0, -rows % tile), (0, -columns % tile)] + [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, padding, constant_values=255)
    return [
        padded[top : top + tile, left : left + tile]
        for top in range(0, rows, tile)
        for left in range(0, columns, tile)
    ]


def jpeg_of(tile: Image) -> bytes:
    data = io.BytesIO()
    # Half the colours along rows: DICOM's YBR_FULL_422.
    PilImage.fromarray(tile).save(data, "JPEG", quality=95, subsampling="4:2:2")
    return data.getvalue()


def jpeg_seen(image: Image, tile: int) -> Image:
    """Return an image as it is after its tiles went through JPEG."""
    rows, columns = image.shape[:2]
    across = -(-columns // tile)
    seen = [np.asarray(PilImage.open(io.BytesIO(jpeg_of(part)))) for part in tiles_of(image, tile)]
    strips = [np.hstack(seen[start : start + across]) for start in range(0, len(seen), across)]
    return np.vstack(strips)[:rows, :columns]


class DicomSlide:
    """Writes the instances of one slide into a folder.

    Parameters
    ----------
    folder : Path
        Made if need be.
    jpeg : bool
        JPEG frames, or else raw pixels.
    tile : int
        Rows and columns of a frame.
    """

    def __init__(self, folder: Path, jpeg: bool = False, tile: int = 64) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.jpeg = jpeg
        self.tile = tile
        self.study, self.series, self.frame_of_reference = (generate_uid() for _ in range(3))

    def write(
        self,
        name: str,
        image: Image,
        spacing_mm: tuple[float, float] | None,
        kind: str = "VOLUME",
        planes: int = 1,
        paths: int = 1,
        **changes: Any,
    ) -> Path:
        """Write one instance.

        Parameters
        ----------
        name : str
            File name.
        image : Image
            Pixels of the first focal plane and optical path; others are darker by 10 each.
        spacing_mm : tuple of float or None
            Height and width of a pixel.
        kind : str
            VOLUME, LABEL, OVERVIEW or THUMBNAIL.
        planes, paths : int
            Number of focal planes and of optical paths.
        changes : Any
            Attributes to set at the end, by keyword.
        """
        tile = self.tile if kind == "VOLUME" else max(image.shape[:2])
        pictures = [image - np.uint8(10 * index) for index in range(planes * paths)]
        frames = [part for picture in pictures for part in tiles_of(picture, tile)]
        header = self._header(name, image, kind)
        header.Rows = header.Columns = tile
        header.NumberOfFrames = len(frames)
        header.TotalPixelMatrixFocalPlanes = planes
        header.NumberOfOpticalPaths = paths
        header.OpticalPathSequence = Sequence([_optical_path(index) for index in range(paths)])
        header.SharedFunctionalGroupsSequence = Sequence([_shared(spacing_mm, planes)])
        if spacing_mm is not None:
            header.ImagedVolumeHeight = spacing_mm[0] * image.shape[0]
            header.ImagedVolumeWidth = spacing_mm[1] * image.shape[1]
        self._put_pixels(header, frames)
        for keyword, value in changes.items():
            setattr(header, keyword, value)
        path = self.folder / name
        header.save_as(path, enforce_file_format=True)
        return path

    def _header(self, name: str, image: Image, kind: str) -> FileDataset:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = WHOLE_SLIDE
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = JPEGBaseline8Bit if self.jpeg else ExplicitVRLittleEndian
        header = FileDataset(name, {}, file_meta=meta, preamble=b"\0" * 128)
        header.SOPClassUID = WHOLE_SLIDE
        header.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        header.StudyInstanceUID, header.SeriesInstanceUID = self.study, self.series
        header.FrameOfReferenceUID = self.frame_of_reference
        header.Modality = "SM"
        header.ImageType = ["ORIGINAL", "PRIMARY", kind, "NONE"]
        header.DimensionOrganizationType = "TILED_FULL"
        header.ContainerIdentifier = "glass 1"
        header.TotalPixelMatrixRows, header.TotalPixelMatrixColumns = image.shape[:2]
        origin = Dataset()
        origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0
        header.TotalPixelMatrixOriginSequence = Sequence([origin])
        header.ImageOrientationSlide = [0, 1, 0, 1, 0, 0]
        header.ImagedVolumeHeight = header.ImagedVolumeWidth = 1
        header.ImagedVolumeDepth = 1
        header.FocusMethod, header.ExtendedDepthOfField = "AUTO", "NO"
        header.VolumetricProperties = "VOLUME"
        header.BurnedInAnnotation = header.SpecimenLabelInImage = "NO"
        return header

    def _put_pixels(self, header: FileDataset, frames: list[Image]) -> None:
        colour = frames[0].ndim == 3
        header.SamplesPerPixel = 3 if colour else 1
        header.BitsAllocated = header.BitsStored = 8
        header.HighBit, header.PixelRepresentation = 7, 0
        header.LossyImageCompression = "01" if self.jpeg else "00"
        header.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
        if colour:
            header.PlanarConfiguration = 0
        if self.jpeg:
            if colour:
                header.PhotometricInterpretation = "YBR_FULL_422"
            header.PixelData = encapsulate([jpeg_of(frame) for frame in frames])
            header["PixelData"].VR = "OB"
            header["PixelData"].is_undefined_length = True
        else:
            data = b"".join(frame.tobytes() for frame in frames)
            header.PixelData = data + b"\0" * (len(data) % 2)
            header["PixelData"].VR = "OB"


def _optical_path(index: int) -> Dataset:
    path = Dataset()
    path.OpticalPathIdentifier = str(index + 1)
    return path


def _shared(spacing_mm: tuple[float, float] | None, planes: int) -> Dataset:
    shared, measures = Dataset(), Dataset()
    measures.SliceThickness = 0.001
    if planes > 1:
        measures.SpacingBetweenSlices = 0.001
    if spacing_mm is not None:
        measures.PixelSpacing = list(spacing_mm)
    shared.PixelMeasuresSequence = Sequence([measures])
    return shared


def write_ct(path: Path) -> Path:
    """Write a small computed tomography image."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CT, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset(path.name, {}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID, header.SOPInstanceUID = CT, meta.MediaStorageSOPInstanceUID
    header.StudyInstanceUID, header.SeriesInstanceUID = generate_uid(), generate_uid()
    header.Modality, header.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.Rows = header.Columns = 8
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 0
    header.PixelData = np.zeros((8, 8), np.uint16).tobytes()
    header["PixelData"].VR = "OW"
    header.save_as(path, enforce_file_format=True)
    return path
