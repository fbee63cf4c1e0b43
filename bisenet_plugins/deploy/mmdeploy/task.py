"""mmdeploy's segmentation task, for test pipelines without a resizing step and for today's mmengine."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from mmdeploy.codebase.mmseg.deploy.segmentation import MMSEG_TASK, Segmentation
from mmdeploy.utils import Task, get_codebase_config, get_input_shape
from mmengine import Config

from ...runtime.preprocess import preprocess_of, step_name, test_pipeline

__all__ = ['BilateralSegmentation', 'prepare_model_config']


def prepare_model_config(model_cfg: Config, size: tuple[int, int] | None = None) -> Config:
    """Copy a model's config and fill in what mmdeploy expects of it.

    Args:
        model_cfg: mmseg config.
        size: Width and height of a static artifact, which nothing pads; a test pipeline without a resizing step gets
            one.

    Returns:
        The copy.
    """
    cfg = deepcopy(model_cfg)
    if 'data_preprocessor' not in cfg:
        cfg.data_preprocessor = deepcopy(cfg.model.get('data_preprocessor') or dict(type='SegDataPreProcessor'))
    cfg.model.setdefault('data_preprocessor', deepcopy(cfg.data_preprocessor))
    given = cfg.get('test_pipeline') or test_pipeline(cfg)  # the types may be classes
    steps = [dict(step, type=name) for step in given if (name := step_name(step)) != 'LoadAnnotations']
    if steps[0]['type'] == 'PackSegInputs':
        steps.insert(0, dict(type='LoadImageFromFile'))
    if size is not None:  # and is not padded to another
        for preprocessor in filter(None, (cfg.data_preprocessor, cfg.model.get('data_preprocessor'))):
            preprocessor.pop('test_cfg', None)
    if size is not None and not any(step['type'] == 'Resize' for step in steps):
        steps.insert(1, dict(type='Resize', scale=tuple(size), keep_ratio=False))
    cfg.test_pipeline = steps
    return cfg


@MMSEG_TASK.register_module(Task.SEGMENTATION.value, force=True)
class BilateralSegmentation(Segmentation):
    """Deploy a segmentor whose test pipeline may run at the image's own size.

    mmdeploy's own task resizes with the test pipeline's ``Resize`` and fails where there is none.

    Args:
        model_cfg: mmseg config.
        deploy_cfg: Deploy config.
        device: Device of the PyTorch model.
    """

    def __init__(self, model_cfg: Config, deploy_cfg: Config, device: str) -> None:
        size = get_input_shape(deploy_cfg)
        super().__init__(prepare_model_config(model_cfg, tuple(size) if size else None), deploy_cfg, device)

    def build_dataset(self, dataset_cfg: Any, *args: Any, **kwargs: Any) -> Any:
        """Build a dataset whose images have the size of a static artifact, which mmdeploy's other steps give them.

        Args:
            dataset_cfg: Config of the dataset.
            *args: As mmdeploy's own takes them.
            **kwargs: As mmdeploy's own takes them.
        """
        size, steps = get_input_shape(self.deploy_cfg), dataset_cfg.get('pipeline') or ()
        if size:
            dataset_cfg = deepcopy(dataset_cfg)
            kept = [step for step in steps if step['type'] != 'Resize']
            dataset_cfg['pipeline'] = [*kept[:1], dict(type='Resize', scale=tuple(size), keep_ratio=False), *kept[1:]]
        return super().build_dataset(dataset_cfg, *args, **kwargs)

    def update_data_preprocessor(self, data_preprocessor: Any) -> Any:
        """Return the preprocessor of a backend's model: a self-contained graph takes bytes, which nothing normalises.

        Args:
            data_preprocessor: Config of the network's.
        """
        if not (contained := get_codebase_config(self.deploy_cfg).get('self_contained')):
            return super().update_data_preprocessor(data_preprocessor)
        return dict(type='SegDataPreProcessor', bgr_to_rgb=contained.get('channel_order', 'bgr') == 'rgb')

    def get_preprocess(self, *args: Any, **kwargs: Any) -> list[dict]:
        """Return the SDK's steps before the network.

        Args:
            *args: Unused; required by mmdeploy's interface.
            **kwargs: Unused; required by mmdeploy's interface.
        """
        size, given = get_input_shape(self.deploy_cfg), self.model_cfg.data_preprocessor.get('mean')
        pre: Any = preprocess_of(self.model_cfg, channels=len(given or 'BGR'))
        resize = dict(type='Resize', size=list(size or pre.scale or ()), keep_ratio=pre.keep_ratio and not size)
        keys = ['img_shape', 'pad_shape', 'ori_shape', 'img_norm_cfg', 'scale_factor']
        return [dict(type='LoadImageFromFile'),
                *([resize] if resize['size'] else []),
                dict(type='Normalize', mean=pre.mean, std=pre.std, to_rgb=pre.to_rgb),
                dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img'], meta_keys=keys)]

    def get_model_name(self, *args: Any, **kwargs: Any) -> str:
        """Return the head's name, which the config may give as a class.

        Args:
            *args: Unused; required by mmdeploy's interface.
            **kwargs: Unused; required by mmdeploy's interface.
        """
        return step_name(self.model_cfg.model.decode_head).removesuffix('Head').lower()

    def get_postprocess(self, *args: Any, **kwargs: Any) -> dict:
        """Return the SDK's step behind the network.

        Args:
            *args: Unused; required by mmdeploy's interface.
            **kwargs: Unused; required by mmdeploy's interface.
        """
        model = self.model_cfg.model  # a segmentor may say for all heads what a head leaves out
        head = {**{key: model[key] for key in ('num_classes', 'align_corners') if model.get(key) is not None},
                **model.decode_head}
        return dict(type='ResizeMask', params=dict(
            num_classes=head['num_classes'], align_corners=head.get('align_corners', False),
            with_argmax=get_codebase_config(self.deploy_cfg).get('with_argmax', True)))
