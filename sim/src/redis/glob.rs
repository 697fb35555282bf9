//! Patterns of keys, as `SCAN … MATCH` takes them: `*`, `?`, `[a-c]`, `[^a]`, and `\` before what stands for itself.

/// Whether the whole of `text` is of `pattern`.
pub(super) fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    while let Some((&first, behind)) = pattern.split_first() {
        match first {
            b'*' => {
                return (0..=text.len()).any(|skipped| matches(behind, &text[skipped..]));
            }
            b'[' => {
                let Some((byte, rest)) = text.split_first() else { return false };
                let (is_in, after) = class(behind, *byte);
                if !is_in {
                    return false;
                }
                (pattern, text) = (after, rest);
            }
            _ => {
                let Some((byte, rest)) = text.split_first() else { return false };
                // A backslash at the very end stands for itself.
                let (literal, after) = match (first, behind.split_first()) {
                    (b'\\', Some((escaped, after))) => (*escaped, after),
                    _ => (first, behind),
                };
                if literal != *byte && first != b'?' {
                    return false;
                }
                (pattern, text) = (after, rest);
            }
        }
    }
    text.is_empty()
}

/// Whether `byte` is in the class at the front of `pattern`, and what follows the class.
fn class(mut pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    let negated = pattern.first() == Some(&b'^');
    if negated {
        pattern = &pattern[1..];
    }
    let mut is_in = false;
    loop {
        pattern = match pattern {
            [] => break,
            [b']', rest @ ..] => {
                pattern = rest;
                break;
            }
            [b'\\', escaped, rest @ ..] => {
                is_in |= *escaped == byte;
                rest
            }
            [one, b'-', other, rest @ ..] => {
                is_in |= (*one.min(other)..=*one.max(other)).contains(&byte);
                rest
            }
            [one, rest @ ..] => {
                is_in |= *one == byte;
                rest
            }
        };
    }
    (is_in != negated, pattern)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_what_they_should_and_nothing_else() {
        let cases = [
            ("a*:b", &["a:b", "ax:b", "a:b:b"][..], &["a", "a:bc", "xa:b"][..]),
            ("?", &["a", "*"], &["", "ab"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x", "-x"]),
            ("[^a]", &["b"], &["a", ""]),
            ("\\*\\[x\\]", &["*[x]"], &["a[x]", "*x"]),
            ("", &[""], &["a"]),
        ];
        for (pattern, right, wrong) in cases {
            for text in right {
                assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
            for text in wrong {
                assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
        }
    }
}
