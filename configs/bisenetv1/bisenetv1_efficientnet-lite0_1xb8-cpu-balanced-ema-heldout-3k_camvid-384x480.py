# The same without the drive 0006R0, on which it is scored: for choosing a recipe.
_base_ = './bisenetv1_efficientnet-lite0_1xb8-cpu-balanced-ema-3k_camvid-384x480.py'
drives = ['0001TP', '0016E5']
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            datasets=[dict(part, drives=drives) for part in _base_.train_dataloader.dataset.dataset.datasets])))
