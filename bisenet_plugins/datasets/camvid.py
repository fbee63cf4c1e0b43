"""CamVid, 11 classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """Road scenes of the Cambridge-driving Labeled Video Database in their 11-class form.

    Reads the SegNet layout: ``train/``, ``trainannot/``, ``val/``, ``valannot/`` with PNG files, ids 0 to 10, and 11 or
    255 for what is not labelled (both become 255, the ignored id).

    Args:
        img_suffix: End of the image files' names.
        seg_map_suffix: End of the label files' names.
        drives: Drives to keep, out of ``0001TP``, ``0006R0``, ``0016E5`` and ``Seq05VD``, by the beginning of the
            files' names; ``None`` keeps all. Frames of one drive resemble each other, so that only a drive that was
            not trained on shows how a network generalises.
        kwargs: Arguments of mmseg's ``BaseSegDataset``: ``data_root``, ``data_prefix``, ``pipeline`` and others.

    Source:
        Brostow, Fauqueur, Cipolla: Semantic object classes in video, 2008; the 11 classes and the split of
        Sturgess et al. 2009, as used in BiSeNet V1, Table 8.

    Example:
        >>> CamVidDataset.METAINFO['classes'][8]
        'Car'
    """

    METAINFO = dict(
        classes=tuple('Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist'.split()),
        palette=[[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222], [128, 128, 0],
                 [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192]])
    UNLABELLED = 11

    def __init__(self, img_suffix: str = '.png', seg_map_suffix: str = '.png',
                 drives: Sequence[str] | None = None, **kwargs: Any) -> None:
        self.drives = ('',) if drives is None else tuple(drives)  # every name begins with nothing
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the images, of the asked drives only."""
        return [sample for sample in super().load_data_list() if Path(sample['img_path']).name.startswith(self.drives)]

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int]:
        """Map ids as they are on disk to ids in training; what is not labelled becomes 255."""
        return {**(super().get_label_map(new_classes) or {}), cls.UNLABELLED: 255}
