//! MQTT 3.1.1 with QoS 0: each client subscribes to the topic of its room and publishes to it. It hears its own
//! messages, too.

use super::{Heard, Protocol, Taken, Unit, Who};

/// MQTT.
pub(crate) struct Mqtt;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
/// With the bits that the standard wants there.
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const UNSUBSCRIBE: u8 = 0xa2;
const UNSUBACK: u8 = 0xb0;

/// The identifier of every packet that is answered: one at a time waits.
const PACKET: [u8; 2] = [0, 1];

impl Protocol for Mqtt {
    const GREETS: bool = true;
    const LOGS_IN: bool = false;
    const TAKEN: Taken = Taken::Echo;
    const ECHOES: bool = true;

    fn next<'a>(&self, _who: Who<'_>, bytes: &'a [u8]) -> Result<Unit<'a>, String> {
        let Some((kind, body, end)) = packet(bytes) else {
            return Ok(None);
        };
        let heard = match (kind & 0xf0, body) {
            (PUBLISH, body) => {
                let text = body.split_first_chunk().and_then(|(length, rest)| {
                    let topic_bytes = usize::from(u16::from_be_bytes(*length));
                    rest.get(topic_bytes..)
                });
                Heard::Message { text: text.ok_or("a message without a topic")?, change: None }
            }
            (CONNACK, [_, 0]) | (UNSUBACK, _) => Heard::Done { entered: None },
            (SUBACK, [_, _, code]) if *code <= 2 => Heard::Done { entered: None },
            (CONNACK, body) => return Err(format!("a connection is refused: {}", body.escape_ascii())),
            (SUBACK, body) => return Err(format!("a subscription is refused: {}", body.escape_ascii())),
            _ => Heard::Nothing,
        };
        Ok(Some((heard, end)))
    }

    fn open(&self, who: Who<'_>, out: &mut Vec<u8>) {
        // Level 4, a clean session, no keep-alive.
        let mut body = b"\0\x04MQTT\x04\x02\0\0".to_vec();
        string(who.user, &mut body);
        put(CONNECT, &[&body], out);
    }

    fn enter(&self, who: Who<'_>, out: &mut Vec<u8>) {
        put(SUBSCRIBE, &[&PACKET, &topic(who), &[0]], out);
    }

    fn leave(&self, who: Who<'_>, out: &mut Vec<u8>) {
        put(UNSUBSCRIBE, &[&PACKET, &topic(who)], out);
    }

    fn say(&self, who: Who<'_>, text: &[u8], out: &mut Vec<u8>) {
        put(PUBLISH, &[&topic(who), text], out);
    }

    fn answer(&self, _asked: &[u8], _out: &mut Vec<u8>) {}
}

/// The packet at the front of `bytes`: its first byte, its body, and how many bytes it takes.
fn packet(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (kind, rest) = bytes.split_first()?;
    let mut length = 0;
    for (place, byte) in rest.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let body = rest.get(place + 1..place + 1 + length)?;
            return Some((*kind, body, place + 2 + length));
        }
    }
    None
}

fn put(kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    out.push(kind);
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    while length >= 0x80 {
        out.push(0x80 | (length & 0x7f) as u8);
        length >>= 7;
    }
    out.push(length as u8);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

fn topic(who: Who<'_>) -> Vec<u8> {
    let mut topic = Vec::new();
    string(&format!("room{}", who.room), &mut topic);
    topic
}

fn string(text: &str, out: &mut Vec<u8>) {
    // Names of users and rooms are short.
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::tests::units;
    use super::*;

    const WHO: Who<'static> = Who { user: "b1", room: 3 };

    #[test]
    fn what_is_published_is_heard() {
        let text = [b'x'; 300];
        let mut bytes = vec![CONNACK, 2, 0, 0, SUBACK, 3, 0, 1, 0];
        Mqtt.say(WHO, b"short", &mut bytes);
        Mqtt.say(WHO, &text, &mut bytes);
        let done = Heard::Done { entered: None };
        let message = |text| Heard::Message { text, change: None };
        assert_eq!(units(&Mqtt, WHO, &bytes), [done, done, message(b"short"), message(&text)]);
        assert!(Mqtt.next(WHO, &[CONNACK, 2, 0, 5]).is_err());
        assert!(Mqtt.next(WHO, &[SUBACK, 3, 0, 1, 0x80]).is_err());
    }
}
