//! `set` lines: the engine's scalar settings by the names they have in [`Config`], read and written by way of serde so
//! that a new setting is there at once.

use std::time::Duration;

use lobbyd_core::config::{Config, DuplicateLogin};
use lobbyd_core::limits::Rate;
use serde_json::{Map, Value};

use super::error::did_you_mean;
use super::packets::words_of;
use super::tokens::{self, Line, Parsed, Refusal, here, show_duration};

/// Reads `KEY VALUE` into the configuration and returns the key.
pub(super) fn set(line: &mut Line<'_>, config: &mut Config) -> Parsed<String> {
    let at = here(line);
    let mut values = values(config);
    let scalar = |values: &Map<String, Value>| -> Vec<String> {
        values.iter().filter(|(_, value)| !value.is_array()).map(|(key, _)| key.clone()).collect()
    };
    let key = tokens::word(line, "a setting such as heartbeat_interval")?.to_owned();
    let known = match values.get(&key) {
        Some(Value::Array(_)) => {
            return Err(Refusal::wrong(at, format!("{key} is not set but written line by line"))
                .with_help("fixed rooms are lines such as `room 1 \"Plaza\" capacity 10`".to_owned()));
        }
        Some(known) => known,
        None => {
            let all = scalar(&values);
            let help = did_you_mean(&key, all.iter().map(String::as_str));
            let help = help.unwrap_or_else(|| format!("the settings are {}", all.join(", ")));
            return Err(Refusal::wrong(at, format!("there is no setting {key}")).with_help(help));
        }
    };
    let at = here(line);
    let value = match kind_of(&key, known) {
        Kind::Number => Value::from(tokens::number::<u32>(line, "a whole number, at most 4294967295")?),
        Kind::Duration => json(tokens::duration(line)?),
        Kind::Rate => json(rate(line)?),
        Kind::Word(words) => {
            let choices: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
            Value::from(tokens::one_of_words(line, &key, &choices)?)
        }
        Kind::Text => Value::from(tokens::string(line, "a text")?),
    };
    values.insert(key.clone(), value);
    *config = serde_json::from_value(Value::Object(values))
        .map_err(|error| Refusal::wrong(at, format!("{key} cannot be that: {error}")))?;
    Ok(key)
}

/// The `set` lines that make the default configuration into this one, without the word `set`.
pub(super) fn show(config: &Config) -> Vec<String> {
    let default = values(&Config::default());
    let changed = values(config).into_iter().filter(|(key, value)| default.get(key) != Some(value));
    changed
        .filter_map(|(key, value)| {
            let shown = match kind_of(&key, &value) {
                Kind::Duration => show_duration(of_json(value)),
                Kind::Rate => show_rate(of_json(value)),
                Kind::Text => tokens::show_string(value.as_str()?),
                Kind::Word(_) => value.as_str()?.to_owned(),
                Kind::Number => value.as_u64()?.to_string(),
            };
            Some(format!("{key} {shown}"))
        })
        .collect()
}

enum Kind {
    Number,
    Duration,
    Rate,
    Word(&'static [&'static str]),
    Text,
}

fn kind_of(key: &str, value: &Value) -> Kind {
    match value {
        Value::Object(fields) if fields.contains_key("burst") => Kind::Rate,
        Value::Object(_) => Kind::Duration,
        Value::String(_) if key == "duplicate_login" => Kind::Word(words_of::<DuplicateLogin>()),
        Value::String(_) => Kind::Text,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Kind::Number,
    }
}

fn values(config: &Config) -> Map<String, Value> {
    match json(config) {
        Value::Object(values) => values,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("a configuration is a structure")
        }
    }
}

fn json(value: impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("settings can be written as JSON")
}

fn of_json<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("what was written as JSON just now can be read back")
}

/// `10/s burst 20`, `6/min burst 3` or `every 150ms burst 3`.
fn rate(line: &mut Line<'_>) -> Parsed<Rate> {
    let at = here(line);
    let refused = || Refusal::expected(at, "a rate such as `10/s burst 20`, `6/min burst 3` or `every 150ms burst 3`");
    let interval = if tokens::keyword(line, "every") {
        tokens::duration(line)?
    } else {
        let found = tokens::word(line, "a rate").map_err(|_| refused())?;
        let (count, unit) = found.split_once('/').ok_or_else(refused)?;
        let count: u32 = count.parse().ok().filter(|count| *count > 0).ok_or_else(refused)?;
        match unit {
            "s" => Rate::per_second(count, 0).interval,
            "min" => Rate::per_minute(count, 0).interval,
            _ => return Err(refused()),
        }
    };
    if !tokens::keyword(line, "burst") {
        return Err(Refusal::expected(here(line), "`burst` and how many at once"));
    }
    Ok(Rate { burst: tokens::number(line, "how many at once")?, interval })
}

fn show_rate(Rate { burst, interval }: Rate) -> String {
    // The count of which this interval comes, if it comes of one.
    let count = |of: fn(u32, u32) -> Rate, whole: Duration| {
        let count = u32::try_from(whole.as_nanos().checked_div(interval.as_nanos())?).ok()?;
        (count > 0 && of(count, 0).interval == interval).then_some(count)
    };
    let shown = if let Some(count) = count(Rate::per_second, Duration::from_secs(1)) {
        format!("{count}/s")
    } else if let Some(count) = count(Rate::per_minute, Duration::from_secs(60)) {
        format!("{count}/min")
    } else {
        format!("every {}", show_duration(interval))
    };
    format!("{shown} burst {burst}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(setting: &str) -> Parsed<Config> {
        let mut config = Config::default();
        set(&mut Line::new(setting), &mut config)?;
        Ok(config)
    }

    #[test]
    fn each_kind_of_setting_is_read_and_shown() {
        for setting in [
            "heartbeat_interval 10s",
            "duplicate_login NewestWins",
            "sessions_max 3",
            "flood 10/s burst 20",
            "flood 7/min burst 20",
            "flood every 7s burst 20",
            "flood every 1us burst 20",
            "server_name \"two words\"",
        ] {
            let shown = show(&read(setting).expect(setting));
            let normal = setting.replace("every 1us", "1000000/s");
            assert_eq!(shown, [normal]);
        }
    }

    #[test]
    fn every_scalar_setting_can_be_set() {
        for (key, value) in values(&Config::default()) {
            let setting = match (key.as_str(), kind_of(&key, &value)) {
                ("fixed_rooms", _) => continue,
                (_, Kind::Number) => format!("{key} 7"),
                (_, Kind::Duration) => format!("{key} 7ms"),
                (_, Kind::Rate) => format!("{key} 7/s burst 77"),
                (_, Kind::Word(_)) => format!("{key} Allow"),
                (_, Kind::Text) => format!("{key} seven"),
            };
            assert_eq!(show(&read(&setting).expect(&setting)), [setting]);
        }
    }

    #[test]
    fn unknown_settings_are_refused_with_what_was_meant() {
        let refusal = read("hartbeat_interval 10s").expect_err("a slip");
        assert_eq!(refusal.help.as_deref(), Some("did you mean `heartbeat_interval`?"));
        let refusal = read("colour green").expect_err("no such setting");
        assert!(refusal.help.expect("all settings").contains("users_max"));
        assert!(read("fixed_rooms 3").is_err());
        assert!(read("sessions_max many").is_err());
        assert!(read("duplicate_login maybe").is_err());
        assert!(read("flood 0/s burst 1").is_err());
        assert!(read("flood 10/h burst 1").is_err());
        assert!(read("flood 10/s").is_err());
    }
}
