r"""What readers of the LinkedIn stand-in see of little text, and what its API gives back."""

from __future__ import annotations

import pytest

from broadcaster.sandbox.linkedin_text import given_back, seen


@pytest.mark.parametrize(
    ("commentary", "text"),
    [
        ("Feuer in Hörde", "Feuer in Hörde"),
        (r"\(Nord\) a\_b \\ \#1", "(Nord) a_b \\ #1"),
        ("#Feuer, #Hörde!", "#Feuer, #Hörde!"),
        (r"{hashtag|\#|Feuer} {hashtag|#|a\_b}", "#Feuer #a_b"),
        ("Dank an @[Stadt](urn:li:organization:1).", "Dank an Stadt."),
        ("Rauch (Nord)", "Rauch "),
        ("a_b", "a"),
        ("post@example.org", "post"),
        ("@[Stadt]", ""),
        ("{hashtag|Feuer}", ""),
        ("{hashtag|#|Feuer", ""),
        ("Ende \\", "Ende "),
        (r"C:\Lage", "C:"),
        ("# allein", ""),
        ("", ""),
    ],
)
def test_readers_see_it_up_to_the_first_bare_character(commentary: str, text: str) -> None:
    """Elements are shown as what they mean; whatever else is reserved ends the text."""
    assert seen(commentary) == text


@pytest.mark.parametrize(
    ("commentary", "back"),
    [
        (r"#Feuer \(Nord\) #Hörde", r"{hashtag|\#|Feuer} \(Nord\) {hashtag|\#|Hörde}"),
        (r"\#Feuer", r"\#Feuer"),
        (r"{hashtag|#|Feuer} @[Stadt](urn:li:organization:1)",) * 2,
        ("#Feuer (Nord) #Hörde", r"{hashtag|\#|Feuer} (Nord) #Hörde"),
    ],
)
def test_the_api_gives_all_of_it_back(commentary: str, back: str) -> None:
    """Also what readers do not see: nobody could tell by it that a text was cut."""
    assert given_back(commentary) == back
