"""A cron expression in words."""

from __future__ import annotations

import pytest

from orchlite.core.errors import BadSchedule
from orchlite.schedules.words import in_words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("30 2 * * *", "every day at 02:30"),
        ("30 2,14 * * *", "every day at 02:30 and 14:30"),
        ("30 2 * * 1-5", "Monday to Friday at 02:30"),
        ("0 9 * * 0,6", "every Saturday and Sunday at 09:00"),
        ("0 0 * * 7", "every Sunday at 00:00"),
        ("0 0 1,15 * *", "on days 1 and 15 of the month at 00:00"),
        ("0 0 1 1 *", "on day 1 of January at 00:00"),
        ("0 0 1 * 1", "on day 1 of the month and every Monday at 00:00"),
        ("0 0 1 6 1", "on day 1 of June and every Monday in June at 00:00"),
        ("0 12 * 1-3 *", "every day in January to March at 12:00"),
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("5/15 * * * *", "every 15 minutes from minute 5 on"),
        ("*/15 8-18 * * 1-5", "every 15 minutes from 08:00 to 18:45, Monday to Friday"),
        ("*/5 1,3 * * *", "every 5 minutes in hours 1 and 3"),
        ("*/40 * * * *", "at minutes 0 and 40 of every hour"),
        ("0 * * * *", "every hour"),
        ("@hourly", "every hour"),
        ("46 * * * *", "every hour at minute 46"),
        ("30 */2 * * *", "every 2 hours, first at 00:30"),
        ("0 8-18 * * *", "every hour from 08:00 to 18:00"),
        ("0 1,2,3,5,7,11 * * *", "at minute 0 in hours 1, 2, 3, 5, 7 and 11"),
        ("5,7,9 3,4 * * *", "at minutes 5, 7 and 9 in hours 3 and 4"),
    ],
)
def test_an_expression_is_said_as_people_say_it(expression: str, words: str) -> None:
    assert in_words(expression) == words


def test_what_no_schedule_can_have_is_refused() -> None:
    with pytest.raises(BadSchedule):
        in_words("60 * * * *")
