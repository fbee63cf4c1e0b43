# Third and last stage: the second once more, from its weights.
_base_ = './2_bisenetv2_mobilenetv2-bga_2xb4-cpu-drawn-ema-lovasz-2.4k_camvid-240x320.py'
load_from = 'work_dirs/2_bisenetv2_mobilenetv2-bga_2xb4-cpu-drawn-ema-lovasz-2.4k_camvid-240x320/iter_2400.pth'
