"""Why a network decides as it does: Grad-CAM, pathways, and the report page."""
