//! What a panic in a task of the simulation said. The runtime that ends for it does not tell.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `step`; a panic in it is an error that says what the first panic said, and where.
///
/// # Errors
/// The panic.
pub(super) fn caught<T>(step: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            FIRST.with_borrow_mut(|first| {
                first.get_or_insert_with(|| {
                    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
                    format!("a panic{}: {}", place.unwrap_or_default(), message(panic.payload()))
                });
            });
            before(panic);
        }));
    });
    FIRST.set(None);
    catch_unwind(AssertUnwindSafe(step))
        .map_err(|payload| FIRST.take().unwrap_or_else(|| format!("a panic: {}", message(payload.as_ref()))))
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::caught;

    #[test]
    fn panic_in_a_task_is_told_with_its_words_and_its_place() {
        let mut simulation = turmoil::Builder::new().build();
        simulation.client("somebody", async {
            let _task = tokio::task::spawn_local(async { panic!("something {}", "unforeseen") });
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(())
        });
        let told = (0..10).find_map(|_| caught(|| simulation.step().is_ok()).err()).expect("the panic is caught");
        assert!(told.starts_with("a panic at sim/src/layers/turmoil/panics.rs:"), "{told}");
        assert!(told.ends_with(": something unforeseen"), "{told}");
    }

    #[test]
    fn what_does_not_panic_is_handed_on() {
        assert_eq!(caught(|| 7), Ok(7));
        assert!(caught(|| panic!("no")).is_err_and(|told: String| told.ends_with(": no")));
        assert_eq!(caught(|| 8), Ok(8), "an earlier panic is forgotten");
    }
}
