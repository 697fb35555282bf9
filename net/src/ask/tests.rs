//! Who is woken for replies, and what they hear.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::reply::{Answered, Awaited, reply};

#[derive(Default)]
struct Task(AtomicU32);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll<T>(awaited: &mut Awaited<T>, task: &Arc<Task>) -> Poll<Option<T>> {
    pin!(awaited).poll(&mut Context::from_waker(&Waker::from(Arc::clone(task))))
}

#[test]
fn who_waits_for_several_replies_is_woken_once_when_all_are_there() {
    let (one, other) = (Arc::<Task>::default(), Arc::<Task>::default());
    let woken = || [&one, &other].map(|task| task.0.load(Ordering::Relaxed));
    let (replies, mut awaited): (Vec<_>, Vec<_>) = (0..3).map(|_| reply()).unzip();
    for (awaited, task) in awaited.iter_mut().zip([&one, &one, &other]) {
        assert_eq!(poll(awaited, task), Poll::Pending);
    }
    let mut answered = Answered::default();
    replies.into_iter().zip(1..).for_each(|(reply, value)| reply.put(value, &mut answered));
    assert_eq!(woken(), [0, 0], "not before the turn is over");
    answered.wake();
    assert_eq!(woken(), [1, 1]);
    let heard = awaited.iter_mut().map(|awaited| poll(awaited, &one));
    assert_eq!(heard.collect::<Vec<_>>(), [1, 2, 3].map(|value| Poll::Ready(Some(value))));
    answered.wake();
    assert_eq!(woken(), [1, 1], "nobody is woken again");
}

#[test]
fn reply_that_is_dropped_says_so_and_one_that_nobody_waits_for_is_dropped() {
    let task = Arc::<Task>::default();
    let (dropped, mut awaited) = reply::<u32>();
    assert_eq!(poll(&mut awaited, &task), Poll::Pending);
    drop(dropped);
    assert_eq!((poll(&mut awaited, &task), task.0.load(Ordering::Relaxed)), (Poll::Ready(None), 1));

    let (given, awaited) = reply();
    drop(awaited);
    let value = Arc::new(());
    given.send(Arc::clone(&value));
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn who_has_a_reply_hears_of_it_although_the_turn_never_ends() {
    let task = Arc::<Task>::default();
    let (given, mut awaited) = reply();
    assert_eq!(poll(&mut awaited, &task), Poll::Pending);
    let mut answered = Answered::default();
    given.put(7, &mut answered);
    drop(answered);
    assert_eq!((task.0.load(Ordering::Relaxed), poll(&mut awaited, &task)), (1, Poll::Ready(Some(7))));
}

#[test]
fn who_has_given_up_is_neither_kept_nor_woken() {
    let task = Arc::<Task>::default();
    let (given, mut awaited) = reply();
    assert_eq!(poll(&mut awaited, &task), Poll::Pending);
    assert!(Arc::strong_count(&task) > 1);
    drop(awaited);
    assert_eq!(Arc::strong_count(&task), 1);
    given.send(7);
    assert_eq!(task.0.load(Ordering::Relaxed), 0);
}

#[test]
fn newest_task_is_the_one_that_is_woken() {
    let (first, second) = (Arc::<Task>::default(), Arc::<Task>::default());
    let (given, mut awaited) = reply();
    assert_eq!((poll(&mut awaited, &first), poll(&mut awaited, &second)), (Poll::Pending, Poll::Pending));
    given.send(7);
    assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
    assert_eq!(poll(&mut awaited, &second), Poll::Ready(Some(7)));
}
