"""Detail guidance of STDC-Seg: the target drawn from the labels, and the loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...errors import expect

TARGETS = ('faithful', 'release')
DETAIL_STRIDES = (1, 2, 4)
THRESHOLD = 0.1


class DetailTarget(nn.Module):
    """Draw the borders between classes from a label, at three strides, and fuse them.

    Used by :class:`DetailGuidanceHead`. Each stride's border map is upsampled to the label's size (nearest), weighted,
    summed and cut at 0.1.

    Args:
        target: ``'faithful'``: the Laplacian of each pixel's own class mask. A pixel is a border where one of its eight
            neighbours has another class, whatever the classes' numbers; ignored pixels and the image's border are no
            borders, and ignored pixels are not valid. ``'release'``: what the published code computes, with its quirks.
        fusion_weights: Weights of the border maps of stride 1, 2 and 4.
        trainable_fusion: Whether the three weights learn, by passing the gradient straight through the cut.
        ignore_index: Label of ignored pixels.

    Shape:
        - Input: labels ``(N, H, W)``, int64.
        - Output: target ``(N, 1, H, W)`` float, 0 or 1, and validity ``(N, 1, H, W)`` bool.

    Raises:
        ValueError: If ``target`` is unknown or ``fusion_weights`` has not three entries.

    Note:
        Quirks of ``'release'``: the Laplacian runs over the class *numbers*, negative values cut off, so only the side
        with the higher number is a border, and neighbours of opposite difference cancel; label 255 and the zeros
        beyond the image take part as if they were classes; the last cut is ``> 0.1``, which 0.1 * 1 in float32 is not,
        so the stride-4 map alone never counts. ``'faithful'`` cuts at ``>= 0.1``: all three count.
        The paper calls the fusion trainable, but a hard cut passes no gradient, so that the released weights are
        constant; this is the default. ``trainable_fusion`` takes the paper at its word, at a price: the target
        then moves towards whatever is easy to predict.

    Source:
        STDC, Section 3.3, Equation 2 and Figure 5; quirks as in the release's ``DetailAggregateLoss``.

    Example:
        >>> label = torch.zeros(1, 6, 8, dtype=torch.long)
        >>> label[:, :, 4:] = 1
        >>> target, valid = DetailTarget(fusion_weights=(1, 0, 0))(label)
        >>> target[0, 0, 2].int().tolist()
        [0, 0, 0, 1, 1, 0, 0, 0]
    """

    def __init__(self, target: str = 'faithful', fusion_weights: tuple[float, float, float] = (0.6, 0.3, 0.1),
                 trainable_fusion: bool = False, ignore_index: int = 255) -> None:
        super().__init__()
        expect(target in TARGETS, 'target', f'one of {TARGETS}', target)
        expect(len(fusion_weights) == len(DETAIL_STRIDES), 'fusion_weights',
               f'an entry for each stride of {DETAIL_STRIDES}', fusion_weights)
        self.target, self.ignore_index = target, ignore_index
        weights = torch.tensor(fusion_weights, dtype=torch.float32).reshape(1, -1, 1, 1)
        if trainable_fusion:
            self.fusion_kernel = nn.Parameter(weights)
        else:
            self.register_buffer('fusion_kernel', weights)

    def forward(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return the target and which pixels count."""
        with torch.no_grad():
            valid = (label != self.ignore_index)[:, None]  # (N, 1, H, W)
            if self.target == 'release':
                borders = _higher_side(label)
                valid = torch.ones_like(valid)
            else:
                borders = _both_sides(label[:, None], valid)
            # A convolution of stride s is the one of stride 1, read at every s-th pixel.
            maps = torch.cat([F.interpolate(borders[..., ::s, ::s], label.shape[1:]) for s in DETAIL_STRIDES], dim=1)
        fused = (maps * self.fusion_kernel.float()).sum(1, keepdim=True)  # (N, 1, H, W), in float32 under autocast too
        cut = self.fusion_kernel.new_tensor(THRESHOLD).float()  # rounded as the weights are
        target = (fused > cut if self.target == 'release' else fused >= cut).to(fused) * valid
        if self.fusion_kernel.requires_grad:
            target = target + (fused - fused.detach())
        return target, valid


def _both_sides(label: Tensor, valid: Tensor) -> Tensor:
    """Mark valid pixels with a valid neighbour of another class: the class mask's Laplacian is above 0 there."""
    label = label.float()  # (N, 1, H, W)
    nothing = torch.full_like(label, -torch.inf)
    highest = F.max_pool2d(torch.where(valid, label, nothing), 3, stride=1, padding=1)
    lowest = -F.max_pool2d(torch.where(valid, -label, nothing), 3, stride=1, padding=1)
    return (valid & ((highest != label) | (lowest != label))).float()


def _higher_side(label: Tensor) -> Tensor:
    """Mark pixels whose number, times eight, exceeds the sum of their neighbours' numbers."""
    label = label[:, None].float()
    around = F.avg_pool2d(label, 3, stride=1, padding=1, divisor_override=1)  # a sum, with zeros beyond the image
    return (9 * label - around > THRESHOLD).float()  # (N, 1, H, W)


@MODELS.register_module()
class DetailLoss(nn.Module):
    """Binary cross entropy plus dice of one border map.

    The loss of :class:`DetailGuidanceHead`.

    Args:
        bce_weight: Factor on the binary cross entropy.
        dice_weight: Factor on the dice loss.
        smooth: What is added above and below the dice fraction (Laplace smoothing).
        loss_name: Key of the result in the log; only names that start with ``loss`` are trained on.

    Shape:
        - Input: logits ``(N, 1, H, W)``, target ``(N, 1, H, W)`` in 0..1, and optionally ``valid`` ``(N, 1, H, W)``.
        - Output: scalar: the cross entropy's mean over the valid pixels of the batch, plus the dice loss's mean over
          the images with a valid pixel; 0, with zero gradient, where there is none.

    Raises:
        ValueError: If ``smooth`` is not positive, or ``loss_name`` does not start with ``loss``.

    Source:
        STDC, Section 3.3, Equations 3 and 4.

    Example:
        >>> loss = DetailLoss()
        >>> loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2))  # ln 2 + 1 - (2 * 2 + 1) / (2 + 4 + 1)
        tensor(0.9789)
    """

    def __init__(self, bce_weight: float = 1.0, dice_weight: float = 1.0, smooth: float = 1.0,
                 loss_name: str = 'loss_detail') -> None:
        super().__init__()
        expect(loss_name.startswith('loss'), 'loss_name', "a name that starts with 'loss' (mmengine sums only such)",
               loss_name)
        self.bce_weight, self.dice_weight, self.smooth, self.loss_name = bce_weight, dice_weight, smooth, loss_name

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return the weighted sum of both terms."""
        bce, dice = self.terms(logits, target, valid)
        return self.bce_weight * bce + self.dice_weight * dice

    def terms(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the binary cross entropy and the dice loss, unweighted."""
        logits, target = logits.float(), target.float()
        valid = torch.ones_like(logits) if valid is None else valid.to(logits)
        bce = F.binary_cross_entropy_with_logits(logits, target, reduction='none') * valid
        bce = bce.sum() / valid.sum().clamp(min=1)
        probability = (logits.sigmoid() * valid).flatten(1)  # (N, H*W)
        truth = (target * valid).flatten(1)
        overlap = (probability * truth).sum(1)
        dice = 1 - (2 * overlap + self.smooth) / (probability.sum(1) + truth.sum(1) + self.smooth)  # (N,)
        images = valid.flatten(1).amax(1)  # (N,)
        return bce, (dice * images).sum() / images.sum().clamp(min=1)
