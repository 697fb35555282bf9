//! Commands and replies in words, for people who look at a run. Values stay out: tokens are among them.

use lobbyd_net::redis::scripts::{RELEASE, RENEW, REPLACE};

use super::reply::Reply;

/// A command by its name and its keys.
pub(super) fn of_command(command: &[Vec<u8>]) -> String {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let Some(name) = command.first().map(|name| text(name).to_uppercase()) else { return "nothing".to_owned() };
    let (script, keys) = match name.as_str() {
        "EVAL" => {
            let count = command.get(2).and_then(|count| text(count).parse().ok()).unwrap_or(0);
            (script(command.get(1)), command.iter().skip(3).take(count).map(text).collect())
        }
        "SET" if command.iter().any(|word| word.eq_ignore_ascii_case(b"nx")) => {
            ("if free", command.get(1).map(text).into_iter().collect())
        }
        "GET" | "SET" | "HMGET" | "HGET" | "PEXPIRE" | "SUBSCRIBE" | "PUBLISH" => {
            ("", command.get(1).map(text).into_iter().collect())
        }
        "DEL" => ("", command.iter().skip(1).map(text).collect()),
        _ => ("", Vec::new()),
    };
    let words = [vec![name], keys, vec![script.to_owned()]].concat();
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn script(text: Option<&Vec<u8>>) -> &'static str {
    let known = [(RELEASE, "to give back"), (RENEW, "to renew"), (REPLACE, "to take over")];
    let is_it = |(script, _): &&(&str, &str)| text.is_some_and(|text| text == script.as_bytes());
    known.iter().find(is_it).map_or("a script", |(_, words)| words)
}

/// A reply by what it is.
pub(super) fn of_reply(reply: &Reply) -> String {
    match reply {
        Reply::Simple(text) => (*text).to_owned(),
        Reply::Error(text) => text.clone(),
        Reply::Integer(number) => number.to_string(),
        Reply::Bulk(_) => "a value".to_owned(),
        Reply::Nil => "nothing".to_owned(),
        Reply::Array(parts) => {
            let parts: Vec<_> = parts.iter().map(of_reply).collect();
            parts.join(", ")
        }
        Reply::Map(_) | Reply::Push(_) | Reply::Several(_) => "several values".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_and_values_are_not() {
        let words =
            |command: &[&str]| of_command(&command.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(words(&["get", "token:alice"]), "GET token:alice");
        assert_eq!(words(&["SET", "lease:alice", "secret", "NX", "PX", "3000"]), "SET lease:alice if free");
        assert_eq!(words(&["EVAL", RENEW, "2", "a", "b", "3000", "x", "y"]), "EVAL a b to renew");
        assert_eq!(words(&["AUTH", "secret"]), "AUTH");
        assert_eq!(of_reply(&Reply::Array(vec![Reply::Integer(1), Reply::bulk("secret")])), "1, a value");
    }
}
