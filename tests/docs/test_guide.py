"""The API guide is played, request by request, against the real application: it cannot say what is not so."""

from tests.docs.conftest import GUIDE
from tests.docs.player import Player
from tests.docs.script import exchanges_of


async def test_every_answer_of_the_guide_is_the_one_the_application_gives(player: Player) -> None:
    for exchange in exchanges_of(GUIDE):
        await player.play(exchange)
