"""The API guide is played, request by request, against the real application: it cannot say what is not so."""

from tests.docs.conftest import CHAPTERS, DOCS
from tests.docs.player import Player
from tests.docs.script import exchanges_of


async def test_every_answer_of_the_guide_is_the_one_the_application_gives(player: Player) -> None:
    for chapter in CHAPTERS:
        for exchange in exchanges_of(chapter):
            await player.play(exchange)


def test_no_chapter_is_left_out() -> None:
    assert {path for path in (DOCS / "api").iterdir() if path.suffix == ".md"} == set(CHAPTERS)
