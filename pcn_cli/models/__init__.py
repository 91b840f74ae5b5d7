"""Networks and their published weights; importing this registers them with timm."""

import pcn_cli.models.aggregation
import pcn_cli.models.entrypoints  # noqa: F401 - importing is registering
