//! Who is in a load: roles and rooms.

use super::client::{Client, Role};
use crate::bench::load::{Drive, Load};

/// The clients of a load, room by room, those who talk first in each; then those who log in and out.
pub(super) fn assemble(load: &Load, user: impl Fn(u32) -> String) -> Vec<Client> {
    let role = match load.drive {
        Drive::Silence | Drive::UnderWay(_) | Drive::Paced(_) => Role::Talker,
        Drive::Hop => Role::Hopper,
        Drive::Reconnect => Role::Reconnector,
    };
    let talks = load.drive != Drive::Silence;
    let mut clients: Vec<Client> = Vec::with_capacity(load.connections() as usize);
    let mut number = 0..;
    let mut name = || user(number.next().unwrap_or_default());
    for (room, size) in (1..).zip(load.rooms.sizes(load.clients)) {
        // One at least talks.
        let sleepers = load.sleepers_per_room.min(size.saturating_sub(1));
        let talkers = (size - sleepers) as usize;
        let first = clients.len();
        for place in 0..size as usize {
            let role = if place < talkers { role } else { Role::Sleeper };
            clients.push(Client {
                first_of_room: first,
                talkers_in_room: talkers,
                place,
                // Where nobody talks, what each expects would be most of what a client takes.
                expected: if role == Role::Talker && talks { vec![0; talkers] } else { Vec::new() },
                ..Client::new(name(), role, room)
            });
        }
    }
    let storm = load.storm.map_or(0, |storm| storm.connections);
    clients.extend((0..storm).map(|_| Client::new(name(), Role::Login, 1)));
    clients
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::{Rooms, Storm};

    #[test]
    fn who_does_not_read_comes_last_in_each_room() {
        let load = Load {
            clients: 6,
            rooms: Rooms::Equal(2),
            text_bytes: 64,
            drive: Drive::UnderWay(1),
            sleepers_per_room: 1,
            storm: Some(Storm { connections: 1, per_second: None }),
        };
        let clients = assemble(&load, |number| format!("b{number}"));
        let seen: Vec<_> = clients.iter().map(|client| (client.user.as_str(), client.role, client.room)).collect();
        let (talker, sleeper) = (Role::Talker, Role::Sleeper);
        assert_eq!(
            seen,
            [
                ("b0", talker, 1),
                ("b1", talker, 1),
                ("b2", sleeper, 1),
                ("b3", talker, 2),
                ("b4", talker, 2),
                ("b5", sleeper, 2),
                ("b6", Role::Login, 1)
            ]
        );
        assert_eq!((clients[4].first_of_room, clients[4].talkers_in_room, clients[4].place), (3, 2, 1));
        assert_eq!(clients[4].expected, [0, 0]);
    }
}
