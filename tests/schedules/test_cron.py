"""What a schedule may say: each refusal is a `BadSchedule` that names the field and the way out; what is accepted gets one spelling."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from orchlite.core.errors import BadArgument, BadSchedule
from orchlite.schedules.schedule import parse, upcoming_after


def _refusal(expression: object, timezone: object = "UTC") -> BadSchedule:
    with pytest.raises(BadSchedule) as refusal:
        parse(expression, timezone)  # type: ignore[arg-type]
    assert refusal.value.hint
    assert len(str(refusal.value)) < 500  # whatever was given
    assert str(refusal.value).isprintable()
    return refusal.value


def _days(expression: str, count: int) -> list[str]:
    return [f"{slot:%a %d %b}" for slot in upcoming_after(datetime(2024, 1, 31, 12, tzinfo=UTC), expression, count)]


class TestEveryField:
    @pytest.mark.parametrize(
        ("expression", "field", "takes"),
        [
            ("60 * * * *", "minute", "0-59"),
            ("* 24 * * *", "hour", "0-23"),
            ("* * 0 * *", "day of month", "1-31"),
            ("* * 32 * *", "day of month", "1-31"),
            ("* * * 13 *", "month", "1-12 or jan-dec"),
            ("* * * * 8", "day of week", "0-7 (0 and 7 are Sunday) or sun-sat"),
            ("0-60 * * * *", "minute", "0-59"),
            ("5,99999999999999999999 * * * *", "minute", "0-59"),
        ],
    )
    def test_says_its_range_where_a_number_is_outside(self, expression: str, field: str, takes: str) -> None:
        refusal = _refusal(expression)
        assert refusal.details["field"] == field
        assert f"The {field} takes {takes}." in str(refusal)

    @pytest.mark.parametrize("item", ["1,,2", ",1", "1,", ","])
    def test_refuses_an_empty_item(self, item: str) -> None:
        refusal = _refusal(f"* {item} * * *")
        assert refusal.details["field"] == "hour"
        assert "0-23" in str(refusal)

    @pytest.mark.parametrize(
        "item", ["-5", "+5", "1-", "1-2-3", "*5", "5*", "**", "*-5", "*/", "/5", "*/5/2", "1.5", "5%", "0x5", "mon", "*/a"]
    )
    def test_refuses_what_is_no_item(self, item: str) -> None:
        refusal = _refusal(f"{item} * * * *")
        assert refusal.details["field"] == "minute"
        assert "0-59" in str(refusal)

    @pytest.mark.parametrize("name", ["monday", "jan", "m", "mo"])
    def test_refuses_names_that_it_does_not_have(self, name: str) -> None:
        assert "sun-sat" in str(_refusal(f"* * * * {name}"))

    @pytest.mark.parametrize(
        ("expression", "field", "steps"),
        [
            ("*/0 * * * *", "minute", "steps of 1-60"),
            ("*/100 * * * *", "minute", "steps of 1-60"),
            ("* 1-5/25 * * *", "hour", "steps of 1-24"),
            ("* * 5/32 * *", "day of month", "steps of 1-31"),
            ("* * * */13 *", "month", "steps of 1-12"),
            ("* * * * */8", "day of week", "steps of 1-7"),
        ],
    )
    def test_refuses_a_step_of_nothing_and_one_larger_than_itself(self, expression: str, field: str, steps: str) -> None:
        refusal = _refusal(expression)
        assert refusal.details["field"] == field
        assert steps in str(refusal)

    @pytest.mark.parametrize("expression", ["*/60 * * * *", "* */24 * * *", "* * */31 * *", "* * * */12 *", "* * * * */7"])
    def test_takes_a_step_as_large_as_itself(self, expression: str) -> None:
        assert parse(expression).expression == expression

    @pytest.mark.parametrize(
        ("expression", "rewritten"),
        [
            ("* 22-2 * * *", "22-23,0-2"),
            ("50-10 * * * *", "50-59,0-10"),
            ("* 22-5/2 * * *", "22,0,2,4"),
            ("* * 30-2 * *", "30-31,1-2"),
            ("* * * nov-feb *", "nov-dec,jan-feb"),
            ("* * * 12-1 *", "12,1"),
            ("* * * * fri-mon", "fri-sat,sun-mon"),
            ("* * * * FRI-SUN", "fri-sat,sun"),
            ("* * * * 6-1", "6,0-1"),
            ("* * * * 7-2", "0-2"),
            ("* * * * 7-3/2", "0,2"),
        ],
    )
    def test_says_how_to_write_a_range_that_goes_backwards(self, expression: str, rewritten: str) -> None:
        refusal = _refusal(expression)
        assert refusal.hint == f"Write {rewritten}."
        position = ["minute", "hour", "day of month", "month", "day of week"].index(refusal.details["field"])
        parse(" ".join(rewritten if field == position else "*" for field in range(5)))


class TestTheWhole:
    @pytest.mark.parametrize("expression", ["", " ", "\t \t"], ids=["empty", "a space", "tabs"])
    def test_is_not_empty(self, expression: str) -> None:
        assert "five fields" in str(_refusal(expression))

    @pytest.mark.parametrize("expression", ["*", "* * * *", "0 * * * * *", "0 0 1 1 * 2030", "0 * * * * * *"])
    def test_has_five_fields(self, expression: str) -> None:
        refusal = _refusal(expression)
        assert refusal.details["field"] == "expression"
        assert "minute, hour, day of month, month, day of week" in str(refusal)
        assert ("leave them out" in str(refusal)) == (len(expression.split()) > 5)

    @pytest.mark.parametrize(
        ("expression", "field", "alternative"),
        [
            ("R * * * *", "minute", "number of your own choice"),
            ("H(0-29)/10 * * * *", "minute", "number of your own choice"),
            ("* 0~5 * * *", "hour", "number of your own choice"),
            ("* * L * *", "day of month", "28-31"),
            ("* * l-3 * *", "day of month", "25-28"),
            ("* * LW * *", "day of month", "26-31"),
            ("* * * * 5L", "day of week", "22-31"),
            ("* * * * fril", "day of week", "22-31"),
            ("* * 15W * *", "day of month", "14-16"),
            ("* * * * 5#3", "day of week", "15-21"),
            ("* * * * fri#3", "day of week", "15-21"),
            ("@reboot", "expression", "run_continuously()"),
            ("@every 5m", "expression", "*/5 * * * *"),
            ("@fortnightly", "expression", "@weekly"),
            ("@daily *", "expression", "@weekly"),
            ("TZ=Asia/Tokyo 0 0 * * *", "expression", "timezone='Asia/Tokyo'"),
            ("cron_tz=Asia/Tokyo 0 0 * * *", "expression", "timezone='Asia/Tokyo'"),
        ],
    )
    def test_has_an_alternative_to_what_other_dialects_say(self, expression: str, field: str, alternative: str) -> None:
        refusal = _refusal(expression)
        assert "not supported" in str(refusal)
        assert refusal.details["field"] == field
        assert alternative in str(refusal.hint)

    @pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 feb,apr,jun,sep,nov *", "0 0 30-31 2 ?", "0 0 31 4 */1"])
    def test_fires_some_day(self, expression: str) -> None:
        refusal = _refusal(expression)
        assert refusal.details["field"] == "day of month"
        assert "never fires" in str(refusal)

    def test_has_256_characters_at_most(self) -> None:
        longest = ("0," * 124 + "0 * * * *")[-256:].lstrip(",")
        assert parse(longest.rjust(256)).expression == longest
        refusal = _refusal(longest.rjust(257))
        assert refusal.details["limit"] == 256
        assert "257" in str(refusal)

    @pytest.mark.parametrize(
        "expression",
        [
            pytest.param("\u0663 * * * *", id="Arabic digit"),
            pytest.param("* \uff15 * * *", id="fullwidth digit"),
            pytest.param("\u00b2 * * * *", id="superscript"),
            pytest.param("*\u00a0* * * *", id="no-break space"),
            pytest.param("*\u3000* * * *", id="ideographic space"),
            pytest.param("* * * * *\n", id="newline"),
            pytest.param("*\x0b* * * *", id="vertical tab"),
            pytest.param("*\x1c* * * *", id="file separator"),
            pytest.param("* * * * *\0", id="NUL"),
            pytest.param("* * * \u0130 *", id="letter that folds to ours"),
            pytest.param("\ud800 * * * *", id="half a character"),
        ],
    )
    def test_is_plain_ascii(self, expression: str) -> None:
        refusal = _refusal(expression)
        assert "position" in str(refusal)
        assert str(refusal).isascii()

    @pytest.mark.parametrize("expression", [None, 5, b"* * * * *", ["*"], {}], ids=repr)
    def test_is_a_text(self, expression: object) -> None:
        assert _refusal(expression).details["field"] == "expression"


class TestSpelling:
    @pytest.mark.parametrize(
        ("expression", "spelling"),
        [
            ("*/1 * * * *", "*/1 * * * *"),
            ("  05\t00  ? *   ? ", "5 0 * * *"),
            ("?/05 * * * *", "*/5 * * * *"),
            ("0 0 * JAN-mar,Dec Mon-FRI/2,sun", "0 0 * 1-3,12 1-5/2,0"),
            ("0 0 * jan/3 5-7", "0 0 * 1/3 5-7"),
            ("@hourly", "0 * * * *"),
            ("@daily", "0 0 * * *"),
            (" @Midnight ", "0 0 * * *"),
            ("@weekly", "0 0 * * 0"),
            ("@monthly", "0 0 1 * *"),
            ("@yearly", "0 0 1 1 *"),
            ("@annually", "0 0 1 1 *"),
        ],
    )
    def test_is_one_for_one_meaning_of_each_item(self, expression: str, spelling: str) -> None:
        assert parse(expression).expression == spelling
        assert parse(spelling) == parse(expression)

    def test_makes_equal_schedules_equal(self) -> None:
        assert len({parse("@weekly"), parse("00 0 * * sun"), parse("0 0 * * 0", "Asia/Tokyo")}) == 2


class TestDays:
    @pytest.mark.parametrize(
        ("expression", "days"),
        [
            pytest.param("0 0 * * 7", ["Sun 04 Feb", "Sun 11 Feb"], id="7 is Sunday"),
            pytest.param("0 0 * * 6-7", ["Sat 03 Feb", "Sun 04 Feb", "Sat 10 Feb"], id="a range to Sunday"),
            pytest.param("0 0 5-5 * *", ["Mon 05 Feb", "Tue 05 Mar"], id="a range of one"),
            pytest.param("0 0 27/2 * *", ["Tue 27 Feb", "Thu 29 Feb", "Wed 27 Mar"], id="a step from a number on"),
            pytest.param("0 0 * * 7/2", ["Sun 04 Feb", "Sun 11 Feb"], id="a step from the last one on"),
            pytest.param("0 0 31 * *", ["Sun 31 Mar", "Fri 31 May"], id="months that have the day"),
            pytest.param("0 0 29 2 *", ["Thu 29 Feb", "Tue 29 Feb"], id="leap years"),
            pytest.param("0 0 1-31/10 * 1", ["Thu 01 Feb", "Mon 05 Feb", "Sun 11 Feb", "Mon 12 Feb"], id="either day matches"),
            pytest.param("0 0 30 2 1", ["Mon 05 Feb", "Mon 12 Feb"], id="either, one of which never comes"),
            pytest.param("0 0 1-31 * 1", ["Thu 01 Feb", "Fri 02 Feb"], id="either, one of which always comes"),
            pytest.param("0 0 */1 * 1", ["Mon 05 Feb", "Mon 12 Feb"], id="every day leaves it to the weekday"),
            pytest.param("0 0 13 * *,5", ["Tue 13 Feb", "Wed 13 Mar"], id="every weekday leaves it to the day"),
        ],
    )
    def test_are_those_of_cron(self, expression: str, days: list[str]) -> None:
        assert _days(expression, len(days)) == days

    @pytest.mark.parametrize("expression", ["0 0 1-31/2 * 1", "0 0 1 * sun", "0 0 1-31 * 1", "0 0 5,*/2 * 1"])
    def test_of_month_and_week_together_are_warned_about(self, expression: str) -> None:
        (warning,) = parse(expression).warnings
        assert "either" in warning
        assert expression.split()[2] in warning

    @pytest.mark.parametrize("expression", ["* * * * *", "0 0 1 * *", "0 0 * * 1", "0 0 ? * 1", "0 0 1 * */1"])
    def test_alone_are_not(self, expression: str) -> None:
        assert parse(expression).warnings == ()


class TestZones:
    @pytest.mark.parametrize(
        "timezone",
        [
            "",
            "../etc",
            "/etc/passwd",
            "America",
            "Mars/Base",
            "+02:00",
            "zone.tab",
            "right/UTC",
            "localtime",
            "posixrules",
            "a\0b",
            "\ud800",
            "x" * 10_000,
        ],
    )
    def test_are_those_of_the_database(self, timezone: str) -> None:
        refusal = _refusal("* * * * *", timezone)
        assert refusal.details["field"] == "timezone"
        assert "'UTC' or 'Europe/Berlin'" in str(refusal.hint)

    @pytest.mark.parametrize("timezone", [None, 5, b"UTC", UTC], ids=repr)
    def test_are_named_by_a_text(self, timezone: object) -> None:
        assert _refusal("* * * * *", timezone).details["field"] == "timezone"

    @pytest.mark.parametrize(
        ("timezone", "meant"),
        [("europe/berlin", "Europe/Berlin"), ("Berlin", "Europe/Berlin"), ("new york", "America/New_York"), ("utc", "UTC")],
    )
    def test_are_guessed_where_one_was_misspelt(self, timezone: str, meant: str) -> None:
        assert _refusal("* * * * *", timezone).hint == f"Did you mean {meant!r}?"

    @pytest.mark.parametrize(
        ("timezone", "hours"),
        [
            ("GMT+5", 5),
            ("UTC+5", 5),
            ("utc-3", -3),
            ("GMT+05:00", 5),
            ("+02:00", 2),
            ("-0800", -8),
            ("UTC+14", 14),
            ("UTC-12", -12),
            ("Etc/UTC+1", 1),
        ],
    )
    def test_that_are_offsets_are_replaced_by_one_with_that_offset(self, timezone: str, hours: int) -> None:
        [name] = re.findall(r"'(Etc/GMT[^']+)'", str(_refusal("* * * * *", timezone).hint))
        [slot] = upcoming_after(datetime(2026, 1, 1, tzinfo=UTC), "0 12 * * *", 1, timezone=name)
        assert slot.utcoffset() == timedelta(hours=hours)

    @pytest.mark.parametrize("timezone", ["UTC+05:30", "GMT+15", "UTC-13", "Etc/GMT-15", "UTC+99"])
    def test_that_are_offsets_of_no_zone_are_not_guessed(self, timezone: str) -> None:
        assert "Etc/" not in str(_refusal("* * * * *", timezone).hint)

    @pytest.mark.parametrize(
        ("timezone", "meant"), [("etc/gmt+5", "'Etc/GMT+5' is 5 hours behind UTC"), ("UTC+0", "'UTC'"), ("+00:00", "'UTC'")]
    )
    def test_that_are_spelt_otherwise_keep_their_sign(self, timezone: str, meant: str) -> None:
        assert meant in str(_refusal("* * * * *", timezone).hint)


@pytest.mark.parametrize(("n", "takes"), [(-1, "0 to 10000"), (10_001, "0 to 10000"), (2**70, "0 to 10000")])
def test_the_number_of_times_that_may_be_asked_for_is_told(n: int, takes: str) -> None:
    with pytest.raises(BadArgument, match=f"It takes {takes}"):
        upcoming_after(datetime(2026, 1, 1, tzinfo=UTC), "@daily", n)
