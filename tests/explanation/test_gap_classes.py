"""The classes of all gaps between two versions of one text."""

from cachelab.explanation.gap_classes import gap_classes


def classes(old: str, new: str, *, system: bool = True) -> list[tuple[str, str]]:
    found = gap_classes(old, new, "system_replaced", task_text=False, system=system)
    return [(new[gap.start_now : gap.end_now], kind) for gap, kind in found]


def test_numbers_on_the_line_of_a_user_are_the_users_data() -> None:
    old, new = (
        "Customer: Ann Lee, plan A, file 12 is open.\nHelp.",
        "Customer: Bob Ray, plan B, file 77 is open.\nHelp.",
    )
    assert classes(old, new) == [(text, "user_field") for text in ("Bob", "Ray,", "B,", "77")]


def test_a_date_on_the_line_of_a_user_is_a_date() -> None:
    old, new = "Customer: Ann, 2026-01-02.", "Customer: Bob, 2026-01-03."
    assert classes(old, new) == [("Bob,", "user_field"), ("2026-01-03.", "date_or_time")]


def test_a_number_on_another_line_or_far_away_is_a_number() -> None:
    far = "and so on " * 8
    assert classes("Customer: Ann\nCall 1 of the agent", "Customer: Bob\nCall 2 of the agent")[1] == (
        "2",
        "id_or_number",
    )
    assert classes(f"Customer: Ann {far}call 1", f"Customer: Bob {far}call 2")[1] == ("2", "id_or_number")


def test_an_account_number_is_a_users_field() -> None:
    assert classes("On account 4711 today", "On account 4712 today") == [("4712", "user_field")]
    assert classes("The account number 4711", "The account number 4712") == [("4712", "user_field")]


def test_a_system_message_may_change_for_two_reasons_and_another_message_for_one() -> None:
    old, new = "Call 1. Be kind and brief.", "Call 2. Be kind and thorough."
    assert [kind for _, kind in classes(old, new)] == ["id_or_number", "system_replaced"]
    assert {kind for _, kind in classes(old, new, system=False)} == {"system_replaced"}
