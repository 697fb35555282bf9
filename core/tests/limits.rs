//! What requests cost, and rates as they are written down.

use std::time::Duration;

use lobbyd_core::id::UserId;
use lobbyd_core::limits::{COST_MAX, Exhausted, Rate, Remembered, cost};
use lobbyd_core::packet::Code;
use lobbyd_core::time::Instant;

use crate::support::packets::{chat, chatted, every_request, hello, kick, leave, ping, pong};
use crate::support::{PLAZA, Server, accepted, milliseconds, send};

#[test]
fn request_costs_what_it_makes_others_do() {
    let costs = every_request().map(|(_, packet)| cost(&packet));
    // Login, logout, list, create, enter, leave, chat, direct message, kick.
    assert_eq!(costs, [10, 1, 2, 5, 3, 2, 1, 1, 3, 3]);
    assert_eq!([hello(), ping(1), pong(1)].map(|packet| cost(&packet)), [1, 1, 1]);
    assert_eq!(costs.into_iter().max(), Some(COST_MAX));
}

#[test]
fn rate_is_so_many_in_a_time_and_so_many_at_once() {
    assert_eq!(Rate::per_second(50, 100), Rate { burst: 100, interval: Duration::from_millis(20) });
    assert_eq!(Rate::per_minute(6, 3), Rate { burst: 3, interval: Duration::from_secs(10) });
    assert_eq!(Rate::per_second(0, 1), Rate::per_second(1, 1));
    assert_eq!(Rate::per_minute(0, 1), Rate::per_minute(1, 1));
}

#[test]
fn budget_fills_up_again_to_its_burst_and_no_further() {
    let mut server = Server::with(|config| config.flood = Rate { burst: 10, interval: milliseconds(100) });
    // Hello, login and entering have left nothing of two bursts.
    let anna = server.guest(0);
    server.after(milliseconds(100));
    server.logs_in(anna, "anna", accepted());
    server.after(milliseconds(300));
    server.enters(anna, PLAZA);
    let says = |server: &mut Server, sequence: u64| {
        server.says(anna, chat(1, PLAZA, "hi"));
        server.does([send(anna, chatted(1, PLAZA, sequence))]);
    };
    server.refuses(anna, chat(2, PLAZA, "hi"), Code::Flooding);
    server.after(milliseconds(100));
    says(&mut server, 2);
    server.refuses(anna, chat(2, PLAZA, "hi"), Code::Flooding);
    server.after(milliseconds(5_000));
    for sequence in 3..13 {
        says(&mut server, sequence);
    }
    server.refuses(anna, chat(2, PLAZA, "hi"), Code::Flooding);
    // What costs more than is left waits for more, and what costs less does not.
    server.after(milliseconds(200));
    server.refuses(anna, kick(4, PLAZA, UserId(9)), Code::Flooding);
    server.refuses(anna, leave(3, 9), Code::NotInRoom);
    server.refuses(anna, leave(3, 9), Code::Flooding);
}

#[test]
fn remembered_keys_are_counted() {
    let rate = Rate { burst: 1, interval: Duration::from_secs(1) };
    let mut remembered = Remembered::default();
    assert_eq!((remembered.len(), remembered.is_empty()), (0, true));
    for key in [5_u32, 6] {
        assert_eq!(remembered.spend(key, Instant::ZERO, rate, 10), Ok(()));
    }
    assert_eq!(remembered.spend(5, Instant::ZERO, rate, 10), Err(Exhausted));
    assert_eq!((remembered.len(), remembered.is_empty()), (2, false));
}
