//! Words that are looked for in what users say.

mod glance;
mod letters;

use std::collections::BTreeSet;
use std::ops::Range;

use lobbyd_core::text::RawText;

use self::glance::Glance;

/// A list of words. A word is a run of letters and digits, and is compared as a whole and without case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// In lower case.
    listed: BTreeSet<String>,
    /// No word is longer, so a longer one need not be looked up.
    bytes_max: usize,
    /// Most texts are not even like one with a word of the list.
    glance: Glance,
}

impl Words {
    pub(super) fn new(words: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let words = words.into_iter().map(|word| word.as_ref().chars().flat_map(lower_case).collect::<String>());
        let listed: BTreeSet<_> = words.filter(|word| !word.is_empty()).collect();
        let bytes_max = listed.iter().map(String::len).max().unwrap_or(0);
        let glance = Glance::of(&listed);
        Self { listed, bytes_max, glance }
    }

    /// The words of all these lists.
    pub(super) fn of_all<'w>(lists: impl IntoIterator<Item = &'w Self>) -> Self {
        Self::new(lists.into_iter().flat_map(|list| &list.listed))
    }

    /// Whether one of the words may be in `text`. Of most texts without any it says that none is. If the list has anything
    /// but ASCII in it, then it says of any text that has, too, that it may.
    pub(super) fn may_be_in(&self, text: RawText<'_>) -> bool {
        self.glance.may_find(text.0)
    }

    /// Where the next word of the list is in `text`, from the byte `from` on, which is not within a word. `lower` is
    /// where a word is put in lower case, so that one allocation does for all.
    pub(super) fn find(&self, text: &str, mut from: usize, lower: &mut String) -> Option<Range<usize>> {
        while let Some(skipped) = text[from..].find(char::is_alphanumeric) {
            let start = from + skipped;
            let length = text[start..].find(|letter: char| !letter.is_alphanumeric());
            let end = length.map_or(text.len(), |length| start + length);
            if self.holds(&text[start..end], lower) {
                return Some(start..end);
            }
            from = end;
        }
        None
    }

    fn holds(&self, word: &str, lower: &mut String) -> bool {
        if word.is_ascii() && !self.glance.may_list(word.as_bytes()) {
            return false;
        }
        lower.clear();
        for letter in word.chars() {
            lower.extend(lower_case(letter));
            if lower.len() > self.bytes_max {
                return false;
            }
        }
        self.listed.contains(lower.as_str())
    }
}

/// A letter in lower case. The sigma at a word's end, which has the same capital as any other, is like the others.
fn lower_case(letter: char) -> impl Iterator<Item = char> {
    letter.to_lowercase().map(|letter| if letter == 'ς' { 'σ' } else { letter })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(words: &Words, text: &str) -> bool {
        words.find(text, 0, &mut String::new()).is_some()
    }

    #[test]
    fn first_look_and_second_agree() {
        let long = "l".repeat(40);
        let words = Words::new(["a", "darn", "x9", "42", &long, "ärger", "kelvin"]);
        let both = |text: &str| {
            let (may_find, is_found) = (words.may_be_in(text.into()), is_found(&words, text));
            assert!(may_find || !is_found, "{text:?} is overlooked");
            is_found
        };
        for word in ["a", "A", "Darn", "DARN", "X9", "42", &long, &long.to_uppercase(), "\u{212a}elvin"] {
            for (before, after) in [("", ""), ("so, ", "!"), ("dare not\n", " darning"), ("9-", "_"), ("\u{7f}", "\0")]
            {
                assert!(both(&format!("{before}{word}{after}")));
            }
        }
        for text in ["", " ", "?!", "darning", "xx", "41 is it", &"l".repeat(30), "who has seen the red knight"] {
            assert!(!both(text), "{text:?}");
        }
    }

    #[test]
    fn first_look_overlooks_nothing_in_any_text() {
        let lists = [&["a", "ab", "b9a"][..], &["abab", "99b", "ba9ba"], &["babbab", "aaaaaaaaa", "9"], &["k", "kab"]];
        let lists = lists.map(Words::new);
        let mut random = 7_u32;
        let mut below = |end: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize % end
        };
        let all = Words::of_all(&lists[1..3]);
        // Letters that are ASCII, become it, or are not, and what is none.
        let letters: Vec<_> = "aAbB9b. -aAbB9b. -kKaAbBé\u{212a}–\u{212b}".chars().collect();
        for words in lists.iter().chain([&all]) {
            let (mut passed, mut found) = (0, 0);
            for _ in 0..10_000 {
                let text: String = (0..below(150)).map(|_| letters[below(letters.len())]).collect();
                let (may_find, is_found) = (words.may_be_in(text[..].into()), is_found(words, &text));
                assert!(may_find || !is_found, "{words:?}: {text:?} is overlooked");
                (passed, found) = (passed + u32::from(!may_find), found + u32::from(is_found));
            }
            assert!(passed > 100 && found > 100, "{words:?}: {passed} texts passed, words were found in {found}");
        }
    }

    #[test]
    fn list_and_text_come_to_the_same_lower_case() {
        let forms = ["ΛΟΓΟΣ", "λογος", "Λογοσ"];
        for listed in forms {
            for said in forms {
                assert!(is_found(&Words::new([listed]), said), "{listed} in {said}");
            }
        }
    }

    #[test]
    fn several_lists_make_one() {
        let lists = [&["darn", "heck"][..], &[], &["HECK", "imp"]].map(Words::new);
        assert_eq!(Words::of_all(&lists), Words::new(["imp", "heck", "darn"]));
        assert_eq!(Words::of_all([]), Words::new([""; 0]));
    }
}
