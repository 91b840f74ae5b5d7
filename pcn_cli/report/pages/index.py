"""The pages of the report in the order of the navigation."""

from pcn_cli.report.pages.card import CARD
from pcn_cli.report.pages.classes import CLASSES
from pcn_cli.report.pages.confidence import CONFIDENCE
from pcn_cli.report.pages.confusions import CONFUSIONS
from pcn_cli.report.pages.gallery import GALLERY
from pcn_cli.report.pages.health import HEALTH
from pcn_cli.report.pages.overview import OVERVIEW
from pcn_cli.report.pages.page import Page
from pcn_cli.report.pages.prediction import PREDICTION
from pcn_cli.report.pages.reproduce import REPRODUCE
from pcn_cli.report.pages.training import TRAINING
from pcn_cli.report.pages.trust import TRUST

PAGES: tuple[Page, ...] = (
    OVERVIEW,
    GALLERY,
    CLASSES,
    CONFUSIONS,
    CONFIDENCE,
    TRUST,
    HEALTH,
    TRAINING,
    CARD,
    REPRODUCE,
    PREDICTION,
)
