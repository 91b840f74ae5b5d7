"""Networks and their published weights; importing this registers them with timm."""

import pcn_cli.models.aggregation
import pcn_cli.models.patchconvnet  # noqa: F401 - importing is registering
