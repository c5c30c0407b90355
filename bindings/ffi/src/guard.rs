//! Where a panic ends: at the boundary, as [`WhimbrelError::Bug`].
//!
//! UniFFI catches panics too, but hands them on as an error of its own that no `catch` of ours names. Here they become one of
//! API.md's cases. The report is the place and, if it is a literal, the text: a text that was formatted may hold content.
//!
//! Async functions are spawned on the runtime: a list is read from an encrypted file, and UniFFI polls on the thread that
//! awaits, which in an app is often the main one. When the caller drops its future, the task is aborted at its next await; what
//! would be left half done goes on to its end.

use std::{
    any::Any,
    cell::RefCell,
    future::{Future, poll_fn},
    panic::{self, AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Once,
    task::Poll,
};

use tokio::task::{JoinError, JoinHandle};

use crate::WhimbrelError;

thread_local! {
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// For functions that neither wait nor read.
pub(crate) fn sync<T>(work: impl FnOnce() -> Result<T, WhimbrelError>) -> Result<T, WhimbrelError> {
    remember_places();
    // Whatever was half done is behind the core's own locks, which recover from poison.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(bug(&*panic)))
}

/// For functions that wait or read.
pub(crate) async fn task<T: Send + 'static>(
    work: impl Future<Output = Result<T, WhimbrelError>> + Send + 'static,
) -> Result<T, WhimbrelError> {
    remember_places();
    let mut task = AbortOnDrop(tokio::spawn(caught(work)));
    (&mut task.0).await.unwrap_or_else(lost)
}

/// For what takes several steps, none of which may be left out: an account that is signed out and not deleted is neither here nor
/// gone. It goes on though nobody waits for it any more.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, WhimbrelError>> + Send + 'static,
) -> Result<T, WhimbrelError> {
    remember_places();
    tokio::spawn(caught(work)).await.unwrap_or_else(lost)
}

fn lost<T>(gone: JoinError) -> Result<T, WhimbrelError> {
    Err(WhimbrelError::Bug { report: gone.to_string() })
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn caught<T>(work: impl Future<Output = Result<T, WhimbrelError>>) -> Result<T, WhimbrelError> {
    let mut work = pin!(work);
    // After a panic it is never polled again.
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(poll) => poll,
        Err(panic) => Poll::Ready(Err(bug(&*panic))),
    })
    .await
}

fn bug(panic: &(dyn Any + Send)) -> WhimbrelError {
    let text = panic.downcast_ref::<&'static str>().copied().unwrap_or("a panic");
    let place = PLACE.take().unwrap_or_else(|| "an unknown place".into());
    WhimbrelError::Bug { report: format!("{text} at {place}") }
}

/// Only a hook is told where a panic happened. It is this library's own: a cdylib carries its own std.
fn remember_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
            // `try_with`: a thread may panic while it takes down its locals.
            let _ = PLACE.try_with(|kept| kept.replace(place));
            others(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_is_a_bug_with_its_place() {
        let result: Result<(), _> = sync(|| panic!("on purpose"));
        let Err(WhimbrelError::Bug { report }) = result else { panic!("{result:?}") };
        assert!(report.starts_with("on purpose at ") && report.contains("guard.rs:"), "{report}");
    }

    #[test]
    fn formatted_text_is_withheld() {
        let secret = "my heart";
        let result: Result<(), _> = sync(|| panic!("no place for {secret}"));
        let Err(WhimbrelError::Bug { report }) = result else { panic!("{result:?}") };
        assert!(!report.contains("heart"), "{report}");
    }

    #[tokio::test]
    async fn panic_after_an_await_is_a_bug() {
        let result: Result<(), _> = task(async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        })
        .await;
        assert!(matches!(result, Err(WhimbrelError::Bug { .. })), "{result:?}");
    }

    #[tokio::test]
    async fn dropped_call_ends_its_task() {
        let (held, released) = tokio::sync::oneshot::channel::<()>();
        let call = task(async move {
            let _held = held;
            std::future::pending::<Result<(), WhimbrelError>>().await
        });
        let gave_up = tokio::time::timeout(std::time::Duration::ZERO, call).await;
        assert!(gave_up.is_err());
        assert!(released.await.is_err(), "what the task held is gone");
    }

    #[tokio::test]
    async fn dropped_call_that_has_to_come_to_its_end_does() {
        let (go_on, waits) = tokio::sync::oneshot::channel::<()>();
        let (says, done) = tokio::sync::oneshot::channel();
        let call = to_the_end(async move {
            let _ = waits.await;
            let _ = says.send("done");
            Ok(())
        });
        let gave_up = tokio::time::timeout(std::time::Duration::ZERO, call).await;
        assert!(gave_up.is_err());
        go_on.send(()).unwrap();
        assert_eq!(done.await, Ok("done"));
    }
}
