//! What a node leaves behind at its end: nothing.

use std::cell::Cell;
use std::rc::Rc;

use lobbyd_core::id::Ticket;
use lobbyd_core::name::UserName;
use lobbyd_net::stores::{LocalFuture, Presence, Unavailable};
use tokio::task::LocalSet;

use crate::memory::{Client, Gate, World, settle};

/// Presence that never tells anything, and knows how many listen.
#[derive(Default)]
struct Mute(Rc<Cell<u32>>);

struct Listening(Rc<Cell<u32>>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Presence for Mute {
    fn take(&self, _: Ticket, _: UserName, _: bool) -> LocalFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async { Ok(true) })
    }

    fn release(&self, _: Ticket, _: UserName) {}

    fn lost(&self) -> LocalFuture<'_, Ticket> {
        self.0.set(self.0.get() + 1);
        let listening = Listening(self.0.clone());
        Box::pin(async move {
            let _listening = listening;
            std::future::pending().await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn stopped_node_leaves_no_errand_behind() {
    LocalSet::new()
        .run_until(async {
            let listening = Rc::new(Cell::new(0));
            let mut world = World::start(Some(Rc::new(Mute(listening.clone()))));
            world.connect(Client::new("ada").with_login());
            settle().await;
            let login = world.logins.try_recv().unwrap();
            assert_eq!((listening.get(), login.is_closed(), world.door.is_closed()), (1, false, false));
            world.handle.stop().await.unwrap();
            let report = world.running.await.unwrap();
            assert_eq!((listening.get(), login.is_closed(), world.door.is_closed()), (0, true, true));
            assert_eq!((report.connections, report.pool.lent, report.lanes.system.waiting), (0, 0, 0));
            assert!(world.handle.report().await.is_err());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn node_that_is_given_up_leaves_no_errand_behind() {
    LocalSet::new()
        .run_until(async {
            let listening = Rc::new(Cell::new(0));
            let mut world = World::start(Some(Rc::new(Mute(listening.clone()))));
            world.connect(Client::new("ada").with_login());
            let held = Gate::default();
            world.connect(Client::new("grace").with_flood(&held, 1));
            settle().await;
            let login = world.logins.try_recv().unwrap();
            assert!(held.is_waited_for());
            world.running.abort();
            assert!(world.running.await.unwrap_err().is_cancelled());
            assert_eq!((listening.get(), login.is_closed(), world.door.is_closed()), (0, true, true));
            settle().await;
            assert!(!held.is_held(), "a client is there that nobody answers");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn login_of_a_session_that_ends_is_given_up() {
    LocalSet::new()
        .run_until(async {
            let mut world = World::start(None);
            world.connect(Client::new("ada").with_login());
            settle().await;
            let login = world.logins.try_recv().unwrap();
            world.handle.close_user("ada".parse().unwrap()).await.unwrap();
            settle().await;
            assert!(login.is_closed());
            assert_eq!(world.handle.report().await.unwrap().counts.logins_pending, 0);
        })
        .await;
}
