//! Why a file is no scenario: where, what stands there, and what could stand there instead.

use std::fmt;

use strsim::osa_distance;

/// A file is no scenario. Shows itself with the line and a caret under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: u32,
    /// The column, counted in characters from 1.
    pub column: u32,
    /// The line as it stands in the file.
    pub text: String,
    /// What is wrong there.
    pub message: String,
    /// What was probably meant, or how to write it.
    pub help: Option<String>,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, text, message, help } = self;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        // Tabs stay as they are, so that the caret stands under its character whatever their width.
        let before: String = text
            .chars()
            .take(*column as usize - 1)
            .map(|character| if character == '\t' { '\t' } else { ' ' })
            .collect();
        writeln!(f, "{line}:{column}: {message}")?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {text}")?;
        write!(f, "{margin} | {before}^")?;
        if let Some(help) = help {
            write!(f, "\n{margin} = {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseError {}

/// The candidate that `word` is probably a slip of, if there is one.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 5 && *distance < word.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean", if something comes near.
pub(super) fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let verbs = ["connect", "hello", "login", "leave", "chat"];
        assert_eq!(nearest("conect", verbs), Some("connect"));
        assert_eq!(nearest("logni", verbs), Some("login"));
        assert_eq!(nearest("Chat", verbs), Some("chat"));
        assert_eq!(nearest("dance", verbs), None);
        assert_eq!(nearest("x", verbs), None);
    }
}
