//! What people may write: messages, titles and nicknames.

use lobbyd_core::text::{
    NICKNAME_BYTES_MAX, NICKNAME_CHARS_MAX, RawText, TITLE_CHARS_MAX, Text, TextError, check_message, check_nickname,
    check_title,
};

fn message(text: &str) -> Result<&str, TextError> {
    check_message(text.into(), 2_000)
}

fn title(text: &str) -> Result<&str, TextError> {
    check_title(text.into())
}

fn nickname(text: &str) -> Result<&str, TextError> {
    check_nickname(text.into())
}

/// Control characters, what overrides the direction of writing (Unicode Standard Annex 9), and line separators.
fn is_forbidden(character: char) -> bool {
    matches!(u32::from(character),
        0..=0x1f | 0x7f..=0x9f | 0x202a..=0x202e | 0x2066..=0x2069 | 0x2028 | 0x2029)
}

#[test]
fn forbidden_characters_are_exactly_those_that_are_listed() {
    let mut forbidden = 0;
    for character in '\0'..=char::MAX {
        let text = character.to_string();
        let wanted = if is_forbidden(character) { Err(TextError::Forbidden) } else { Ok(text.as_str()) };
        assert_eq!(title(&text), wanted, "{character:?} in a title");
        if character == '\n' {
            assert_eq!(message(&text), Ok("\n"));
        } else {
            assert_eq!(message(&text), wanted, "{character:?} in a message");
        }
        if wanted.is_err() {
            assert_eq!(nickname(&text), wanted, "{character:?} in a nickname");
            forbidden += 1;
        }
    }
    assert_eq!(forbidden, 32 + 33 + 5 + 4 + 2);
}

#[test]
fn forbidden_character_is_found_wherever_it_stands() {
    for length in 1..70 {
        for place in 0..length {
            for bad in ["\u{7}", "\u{202e}", "\r"] {
                let mut text = "a".repeat(length);
                text.insert_str(place, bad);
                assert_eq!(message(&text), Err(TextError::Forbidden), "{bad:?} at {place} of {length}");
            }
        }
    }
}

#[test]
fn message_is_1_to_so_many_bytes() {
    assert_eq!(check_message(RawText(b""), 4), Err(TextError::Empty));
    assert_eq!(check_message("abcd".into(), 4), Ok("abcd"));
    assert_eq!(check_message("abcde".into(), 4), Err(TextError::TooLong));
    assert_eq!(check_message("\u{1f980}".into(), 4), Ok("\u{1f980}"));
    assert_eq!(check_message("\u{1f980}".into(), 3), Err(TextError::TooLong));
    assert_eq!(check_message(RawText(b"\xff\xff\xff\xff"), 4), Err(TextError::NotUtf8));
    assert_eq!(check_message(RawText(b"\xff\xff\xff\xff\xff"), 4), Err(TextError::TooLong));
}

#[test]
fn title_and_nickname_are_counted_in_characters() {
    for (check, chars_max) in
        [(title as fn(&str) -> Result<&str, TextError>, TITLE_CHARS_MAX), (nickname, NICKNAME_CHARS_MAX)]
    {
        let chars_max = chars_max as usize;
        assert_eq!(check(""), Err(TextError::Empty));
        for character in ["a", "ä", "字", "\u{1f980}"] {
            let (longest, too_long) = (character.repeat(chars_max), character.repeat(chars_max + 1));
            assert_eq!(check(character), Ok(character));
            assert_eq!(check(&longest), Ok(longest.as_str()));
            assert_eq!(check(&too_long), Err(TextError::TooLong));
        }
        assert_eq!(check("two\nlines"), Err(TextError::Forbidden));
    }
    assert_eq!((TITLE_CHARS_MAX, NICKNAME_CHARS_MAX, NICKNAME_BYTES_MAX), (64, 32, 128));
}

#[test]
fn title_that_is_not_utf8_is_refused() {
    assert_eq!(check_title(RawText(b"caf\xe9")), Err(TextError::NotUtf8));
    assert_eq!(check_nickname(RawText(b"caf\xe9")), Err(TextError::NotUtf8));
    // Hostile lengths are refused unread.
    assert_eq!(check_title(RawText(&[0xff; 64 * 4 + 1])), Err(TextError::TooLong));
    assert_eq!(check_title(RawText(&[0xff; 64 * 4])), Err(TextError::NotUtf8));
    assert_eq!(check_nickname(RawText(&[0xff; 32 * 4 + 1])), Err(TextError::TooLong));
    assert_eq!(check_nickname(RawText(&[0xff; 32 * 4])), Err(TextError::NotUtf8));
}

#[test]
fn nickname_has_one_spelling() {
    // One character, and the same as a letter with an accent; a sign that stands for a letter; two halves of a syllable.
    for (composed, decomposed) in [("é", "e\u{301}"), ("Å", "\u{212b}"), ("가", "\u{1100}\u{1161}")] {
        assert_eq!(nickname(composed), Ok(composed));
        assert_eq!(nickname(decomposed), Err(TextError::NotNormalized));
        // What is not a name may be spelled as one likes.
        assert_eq!(title(decomposed), Ok(decomposed));
        assert_eq!(message(decomposed), Ok(decomposed));
    }
}

#[test]
fn nickname_is_of_any_script() {
    let names = [
        "Žofie",
        "Ελένη",
        "Владимир",
        "שרה",
        "ليلى",
        "देवी",
        "สมชาย",
        "小明",
        "さくら",
        "지우",
        "ሰላም",
        "👩\u{200d}🚀",
        "a b",
    ];
    for name in names {
        assert_eq!(nickname(name), Ok(name));
    }
}

#[test]
fn text_is_stored_as_a_string() {
    let text = Text::new("zwei\nZeilen \u{1f980}");
    let stored = serde_json::to_string(&text).unwrap();
    assert_eq!(stored, "\"zwei\\nZeilen \u{1f980}\"");
    assert_eq!((text.len(), text.is_empty(), Text::new("").is_empty()), (16, false, true));
    assert_eq!(format!("{text}"), "zwei\nZeilen \u{1f980}");
    assert_eq!(format!("{text:?}"), "\"zwei\\nZeilen \u{1f980}\"");
}
