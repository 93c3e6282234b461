"""Text that is safe to print, and messages that fit on a page."""

from __future__ import annotations

from ui.printable import LONGEST, printable, shortened


def test_what_a_terminal_obeys_is_escaped_and_joined_letters_stay() -> None:
    assert printable("a\x1b[2Jb\u202egpj.exe\udce9") == "a\\x1b[2Jb\\u202egpj.exe\\udce9"
    assert printable("می\u200cخواهم 👨\u200d👩\u200d👧\n") == "می\u200cخواهم 👨\u200d👩\u200d👧\\n"


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    said = f"The filter ends too early: {'z' * 10_000}. Write something like width>2000."
    assert len(shortened(said)) < LONGEST + 5
    assert shortened(said).startswith("The filter ends too early: zzz")
    assert shortened(said).endswith("zzz. Write something like width>2000.")
    assert shortened("short") == "short"
