"""The two pathways: detail and semantic."""

from .context_path import ContextPath
from .detail_branch import DetailBranch
from .semantic_branch import SemanticBranch
from .spatial_path import SpatialPath

__all__ = ['ContextPath', 'DetailBranch', 'SemanticBranch', 'SpatialPath']
