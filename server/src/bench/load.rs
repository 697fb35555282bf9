//! A load: how many clients, in which rooms, and what they do.

/// What is asked of a server for a while.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Load {
    /// Clients that enter a room, and stay in it unless the role is another.
    pub clients: u32,
    /// How they are spread over rooms.
    pub rooms: Rooms,
    /// Bytes of a text; at least those of a stamp.
    pub text_bytes: usize,
    /// What the clients do.
    pub drive: Drive,
    /// In every room the last so many members say nothing and, once they are in, do not read either.
    pub sleepers_per_room: u32,
    /// What goes on beside that, in turns with times in which it does not.
    pub storm: Option<Storm>,
}

/// Further connections, which log in and out.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Storm {
    /// How many they are.
    pub connections: u32,
    /// So many logouts a second in all, each followed by a login, on a schedule that waits only when every connection
    /// still waits for its last answer; `None` means that each goes on as soon as it is answered.
    pub per_second: Option<f64>,
}

/// How clients are spread over rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rooms {
    /// So many rooms, as equal as they can be.
    Equal(u32),
    /// So many rooms, the n-th with a share of 1/n and two members at least.
    Zipf(u32),
}

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Drive {
    /// Nothing.
    Silence,
    /// Each keeps so many messages under way: the next is sent when the server has taken one.
    UnderWay(u32),
    /// So many messages a second in all, on a schedule that does not wait for the server.
    Paced(f64),
    /// Each leaves its room and enters it again, all the time.
    Hop,
    /// Each connects, is greeted and drops the connection, all the time.
    Reconnect,
}

impl Rooms {
    /// How many members each room has; together `clients`. There are fewer rooms where clients do not suffice for two in
    /// each.
    #[must_use]
    pub fn sizes(self, clients: u32) -> Vec<u32> {
        let (Self::Equal(count) | Self::Zipf(count)) = self;
        let count = count.min(clients / 2).max(1);
        let mut sizes: Vec<u32> = match self {
            Self::Equal(_) => vec![clients / count; count as usize],
            Self::Zipf(_) => {
                let whole: f64 = (1..=count).map(|rank| 1.0 / f64::from(rank)).sum();
                let spare = f64::from(clients.saturating_sub(2 * count));
                (1..=count).map(|rank| 2 + (spare / f64::from(rank) / whole) as u32).collect()
            }
        };
        // What rounding has left over goes to the first rooms, in turn; a single client is a room by itself.
        if clients < 2 {
            return vec![clients];
        }
        let left = clients.saturating_sub(sizes.iter().sum()) as usize;
        let count = sizes.len();
        (0..left).for_each(|place| sizes[place % count] += 1);
        sizes
    }
}

impl Load {
    /// All connections: those of clients and those that log in and out.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.clients + self.storm.map_or(0, |storm| storm.connections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_hold_every_client_once_and_two_at_least() {
        for clients in [2, 3, 20, 500, 1000] {
            for rooms in [Rooms::Equal(50), Rooms::Zipf(50), Rooms::Equal(1), Rooms::Zipf(1)] {
                let sizes = rooms.sizes(clients);
                assert_eq!(sizes.iter().sum::<u32>(), clients, "{rooms:?} {sizes:?}");
                assert!(sizes.iter().all(|size| *size >= 2), "{rooms:?} {sizes:?}");
            }
        }
        assert_eq!(Rooms::Equal(50).sizes(500), vec![10; 50]);
        assert_eq!(Rooms::Equal(3).sizes(1), [1]);
    }

    #[test]
    fn zipf_rooms_shrink_by_rank() {
        let sizes = Rooms::Zipf(50).sizes(500);
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
        assert!(sizes[0] > 80 && sizes[49] < 5, "{sizes:?}");
    }
}
