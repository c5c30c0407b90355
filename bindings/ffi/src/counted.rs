//! How many objects the other language holds: the suites ask whether any is left.

use std::{
    ops::Deref,
    sync::atomic::{AtomicI64, Ordering},
};

static HELD: AtomicI64 = AtomicI64::new(0);

/// What an object is about, counted for as long as the object lives.
#[derive(Debug)]
pub(crate) struct Counted<T>(T);

impl<T> Counted<T> {
    pub(crate) fn new(inner: T) -> Self {
        HELD.fetch_add(1, Ordering::Relaxed);
        Self(inner)
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(feature = "test-support")]
pub(crate) fn held() -> i64 {
    HELD.load(Ordering::Relaxed)
}
