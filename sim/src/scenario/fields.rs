//! A packet as flat fields of text: how expectations, traces and diagrams write it.

use std::collections::BTreeMap;

use lobbyd_core::packet::ServerPacket;
use serde_json::Value;

use super::Pattern;

/// A packet's name and its fields.
///
/// Fields of fields are flattened to their own names, `Ok(..)` of a result to the fields in it (a result without any is
/// `ok`), `Err(code)` to `refused`. Absent options are `none`; texts are in quotes, escaped as in JSON; data that is no
/// text is `hex:` and its digits; lists of users
/// and rooms are `[…]` of their names or numbers.
#[must_use]
pub fn of(packet: &ServerPacket) -> (String, BTreeMap<String, String>) {
    let value = serde_json::to_value(packet).expect("every packet can be written as JSON");
    let Value::Object(tagged) = value else {
        unreachable!("every packet has fields");
    };
    let (name, content) = tagged.into_iter().next().expect("a tagged packet has a tag");
    let mut fields = BTreeMap::new();
    flatten(&mut fields, "", content);
    (name, fields)
}

fn flatten(fields: &mut BTreeMap<String, String>, name: &str, value: Value) {
    match value {
        // Data that is no text.
        Value::Object(object) if object.len() == 1 && object.contains_key("hex") => {
            let digits = object["hex"].as_str().unwrap_or_default();
            fields.insert(name.to_owned(), format!("hex:{digits}"));
        }
        Value::Object(object) => {
            for (key, value) in object {
                match key.as_str() {
                    "Ok" if value.is_null() => {
                        fields.insert("ok".to_owned(), "true".to_owned());
                    }
                    "Ok" => flatten(fields, name, value),
                    "Err" => flatten(fields, "refused", value),
                    _ => flatten(fields, &key, value),
                }
            }
        }
        Value::Array(elements) => {
            let shown: Vec<_> = elements.iter().map(element).collect();
            fields.insert(name.to_owned(), format!("[{}]", shown.join(",")));
        }
        Value::Null => {
            fields.insert(name.to_owned(), "none".to_owned());
        }
        // Enum variants and names are words; only free text is quoted.
        Value::String(text) if !is_free_text(name) => {
            fields.insert(name.to_owned(), text);
        }
        scalar @ (Value::String(_) | Value::Bool(_) | Value::Number(_)) => {
            fields.insert(name.to_owned(), scalar.to_string());
        }
    }
}

fn is_free_text(field: &str) -> bool {
    matches!(field, "text" | "title" | "nickname" | "server" | "data" | "error_message")
}

/// A user in a list is its name, a room its number.
fn element(value: &Value) -> String {
    let text = |key| value.get(key).map(|field| field.as_str().map_or_else(|| field.to_string(), str::to_owned));
    text("name").or_else(|| text("room")).unwrap_or_else(|| value.to_string())
}

impl Pattern {
    /// Whether the packet is of this pattern; if not, what differs.
    ///
    /// # Errors
    /// Names the packet, or the first field, that differs.
    pub fn matches(&self, packet: &ServerPacket) -> Result<(), String> {
        let (name, fields) = of(packet);
        if name != self.packet {
            return Err(format!("{} was expected", self.packet));
        }
        for (field, expected) in &self.fields {
            match fields.get(field) {
                Some(found) if found == expected => {}
                Some(found) => return Err(format!("{field} is {found}, expected was {expected}")),
                None => return Err(format!("{name} has no {field}, expected was {field}={expected}")),
            }
        }
        Ok(())
    }
}

/// The packet on one line, as an expectation would be written.
#[must_use]
pub fn line(packet: &ServerPacket) -> String {
    let (name, fields) = of(packet);
    fields.into_iter().fold(name, |line, (field, value)| format!("{line} {field}={value}"))
}

#[cfg(test)]
mod tests {
    use lobbyd_core::id::{RequestId, RoomNumber, UserId};
    use lobbyd_core::packet::{Code, List, RoomChange, User};

    use super::*;

    fn user(name: &str) -> User {
        User { id: UserId(7), name: name.parse().expect("a good name"), nickname: None }
    }

    #[test]
    fn fields_are_flat_and_texts_are_quoted() {
        let chat = ServerPacket::RoomChatNotify {
            room: RoomNumber(3),
            sequence: 9,
            user: UserId(7),
            name: "alice".parse().expect("a good name"),
            text: "a \"b\"\n".into(),
        };
        assert_eq!(line(&chat), r#"RoomChatNotify name=alice room=3 sequence=9 text="a \"b\"\n" user=7"#);
    }

    #[test]
    fn results_are_their_fields_or_their_code() {
        let request = RequestId(4);
        let change = RoomChange { room: RoomNumber(3), sequence: 9 };
        let done = ServerPacket::RoomLeaveResponse { request, result: Ok(change) };
        assert_eq!(line(&done), "RoomLeaveResponse request=4 room=3 sequence=9");
        let refused = ServerPacket::LoginResponse { request, result: Err(Code::LoginDenied) };
        assert_eq!(line(&refused), "LoginResponse refused=LoginDenied request=4");
        let logged_out = ServerPacket::LogoutResponse { request, result: Ok(()) };
        assert_eq!(line(&logged_out), "LogoutResponse ok=true request=4");
        let accepted = ServerPacket::LoginResponse { request, result: Ok(user("bob")) };
        assert_eq!(line(&accepted), "LoginResponse id=7 name=bob nickname=none request=4");
    }

    #[test]
    fn lists_show_names() {
        let list = ServerPacket::RoomUserListNotify {
            room: RoomNumber(3),
            epoch: 1,
            sequence: 2,
            owner: Some(UserId(7)),
            users: List(vec![user("alice"), user("bob")]),
            last: true,
        };
        assert_eq!(line(&list), "RoomUserListNotify epoch=1 last=true owner=7 room=3 sequence=2 users=[alice,bob]");
    }

    #[test]
    fn pattern_says_what_differs() {
        let packet = ServerPacket::Pong { nonce: 5 };
        let pattern = |packet: &str, fields: &[(&str, &str)]| Pattern {
            packet: packet.to_owned(),
            fields: fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect(),
        };
        assert_eq!(pattern("Pong", &[]).matches(&packet), Ok(()));
        assert_eq!(pattern("Pong", &[("nonce", "5")]).matches(&packet), Ok(()));
        assert_eq!(pattern("Ping", &[]).matches(&packet), Err("Ping was expected".to_owned()));
        let other = pattern("Pong", &[("nonce", "6")]).matches(&packet);
        assert_eq!(other, Err("nonce is 5, expected was 6".to_owned()));
    }
}
