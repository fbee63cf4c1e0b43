"""CamVid's images by drive, for networks that are tested on a road that they have not seen."""

import cv2
import numpy as np

from bisenet_plugins import CamVidDataset


def test_only_the_asked_drives_are_listed(tmp_path):
    for name in ('0001TP_006690', '0006R0_f00930', '0016E5_00390'):
        for folder in ('train', 'trainannot'):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f'{name}.png'), np.zeros((2, 2), np.uint8))
    settings = dict(data_root=str(tmp_path), data_prefix=dict(img_path='train', seg_map_path='trainannot'), pipeline=[])
    assert len(CamVidDataset(**settings)) == 3
    kept = CamVidDataset(**settings, drives=['0001TP', '0016E5'])
    assert sorted(kept[number]['img_path'].rsplit('/', 1)[1][:6] for number in range(len(kept))) == ['0001TP', '0016E5']
