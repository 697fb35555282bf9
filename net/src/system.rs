//! The system lane: what runs ahead of packets, and the errands that bring it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;

use lobbyd_core::command::CommandName;
use lobbyd_core::data::Data;
use lobbyd_core::input::Input;

use crate::ask::reply::{Answered, Reply};
use crate::ask::{Ask, AskReply, CallReply, Look};
use crate::errands::{ErrandId, ErrandList, Errands};
use crate::hub::Work;
use crate::lanes::{Lane, LaneReport};
use crate::node::{ConnectionPage, PageStart};
use crate::report::Report;
use crate::stats::Stats;

/// What the system lane carries.
pub(crate) enum SystemWork<S> {
    /// An input of the engine.
    Input(Input<'static>),
    /// An accepted connection.
    Connection { stream: S, peer: SocketAddr },
    /// A connection that the home has accepted for this thread; an error if it did not arrive whole.
    Arrival { stream: io::Result<S>, peer: SocketAddr },
    /// The operator asks how the node stands.
    Report { reply: Reply<Report> },
    /// The operator asks for everything that is counted.
    Stats { reply: Reply<Stats> },
    /// The operator asks for some of the connections.
    Connections { from: PageStart, limit: usize, reply: Reply<ConnectionPage> },
    /// A handle has a future to be run.
    Schedule { lane: Lane, work: Work },
    /// A handle asks the engine for something.
    Ask { ask: Ask, reply: AskReply },
    /// An errand has what a handle has asked for.
    Tell(Box<dyn FnOnce(&mut Answered)>),
    /// A handle looks at the engine.
    Look(Look),
    /// A handle asks a service.
    CallService { service: CommandName, request: Data, reply: CallReply },
    /// A handle wants middleware of that name to be passed again.
    EnableMiddleware { name: String, reply: Reply<u32> },
}

/// Where errands put what they bring. Clones share it.
pub(crate) struct SystemQueue<S>(Rc<Shared<S>>);

struct Shared<S> {
    work: RefCell<VecDeque<SystemWork<S>>>,
    deferred: Cell<u64>,
}

impl<S> Clone for SystemQueue<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S> SystemQueue<S> {
    pub(crate) fn push(&self, work: SystemWork<S>) {
        self.0.work.borrow_mut().push_back(work);
    }

    /// Notes that an errand has brought its share of this turn, and perhaps has more.
    pub(crate) fn note_deferred(&self) {
        self.0.deferred.set(self.0.deferred.get() + 1);
    }

    fn len(&self) -> usize {
        self.0.work.borrow().len()
    }
}

/// The system lane of a hub.
pub(crate) struct SystemLane<S> {
    queue: SystemQueue<S>,
    errands: ErrandList,
    /// Errands that are not the hub's own: what they do wakes its own.
    foreign: Option<Errands>,
    report: LaneReport,
}

impl<S> SystemLane<S> {
    pub(crate) fn new() -> Self {
        let shared = Shared { work: RefCell::default(), deferred: Cell::new(0) };
        let queue = SystemQueue(Rc::new(shared));
        Self { queue, errands: ErrandList::default(), foreign: None, report: LaneReport::default() }
    }

    /// Hands in an input of the driver's own.
    pub(crate) fn push(&self, input: Input<'static>) {
        self.queue.push(SystemWork::Input(input));
    }

    /// Begins an errand, which may put what it brings into the queue. It must not own the hub.
    pub(crate) fn begin<F: Future<Output = ()> + 'static>(
        &mut self,
        errand: impl FnOnce(SystemQueue<S>) -> F,
    ) -> ErrandId {
        let future = errand(self.queue.clone());
        self.errands.begin(future)
    }

    pub(crate) fn cancel(&mut self, errand: ErrandId) {
        self.errands.cancel(errand);
    }

    /// Runs these errands too, ahead of its own. They go on elsewhere when the lane is closed.
    pub(crate) fn adopt(&mut self, errands: Errands) {
        self.foreign = Some(errands);
    }

    /// Ends all errands of its own, and forgets what they brought.
    pub(crate) fn close(&mut self) {
        self.foreign = None;
        self.errands.cancel_all();
        self.queue.0.work.borrow_mut().clear();
    }

    /// Runs the errands that were woken: what they bring is in the queue then. To be called once at the beginning of a
    /// turn.
    pub(crate) fn gather(&mut self) {
        let mut called = 0;
        if let Some(foreign) = &self.foreign
            && foreign.list().is_called()
        {
            called += foreign.list().run();
        }
        if self.errands.is_called() {
            called += self.errands.run();
        }
        if called > 0 {
            self.report.peak = self.report.peak.max(called.max(self.queue.len()) as u64);
        }
    }

    /// The first piece of work that waits.
    pub(crate) fn next(&mut self) -> Option<SystemWork<S>> {
        let work = self.queue.0.work.borrow_mut().pop_front()?;
        self.report.handled += 1;
        Some(work)
    }

    /// Whether nothing is there: no input, and no errand that was woken.
    pub(crate) fn is_idle(&self) -> bool {
        let is_foreign_called = self.foreign.as_ref().is_some_and(|foreign| foreign.list().is_called());
        !is_foreign_called && !self.errands.is_called() && self.queue.len() == 0
    }

    /// Whether something is in the queue.
    pub(crate) fn has_work(&self) -> bool {
        self.queue.len() > 0
    }

    /// Has this task woken when there is something. Foreign errands have a task of their own, which wakes it in turn.
    pub(crate) fn remember(&self, waker: &Waker) {
        self.errands.remember(waker);
    }

    pub(crate) fn report(&self) -> LaneReport {
        let foreign = self.foreign.as_ref().map_or(0, |foreign| foreign.list().called());
        let waiting = (self.queue.len() + self.errands.called() + foreign) as u64;
        // What was woken since the turn began is measured only at the next one.
        let peak = self.report.peak.max(waiting);
        LaneReport { waiting, peak, deferred: self.queue.0.deferred.get(), ..self.report }
    }
}
