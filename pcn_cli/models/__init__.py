"""Networks and their published weights; importing `pcn_cli.models.entrypoints` registers them with timm."""
