//! Two processes over one file, killed and stopped at any statement (DESIGN, "The lease"; HOSTILE, `two_processes`).
//!
//! The program `actor` is one process of an account: the real engine on a real, encrypted file, with a trap that ends or stops
//! it at its n-th SQL statement. The test is everything else: the server and what it remembers, the clock, the second process
//! that goes on where the first was caught. Nothing is left to chance, so every statement of a conversation can be tried.

pub mod actor;
pub mod stage;
pub mod trap;

use minidom::Element;
use whimbrel_engine::store::Secret;

/// Whose account it is.
pub const ROMEO: &str = "romeo@montague.lit";
/// Whom he talks with.
pub const JULIET: &str = "juliet@capulet.lit";
/// When it begins, ms UTC.
pub const START: i64 = 1_795_000_000_000;

/// The database's.
pub fn secret() -> Secret {
    Secret([7; 48])
}

/// One element of a stream between clients and servers.
pub fn element(xml: &str) -> Element {
    elements(xml).into_iter().next().expect("an element")
}

/// All of them.
pub fn elements(xml: &str) -> Vec<Element> {
    let wrapped: Element = format!("<x xmlns='jabber:client'>{xml}</x>")
        .parse()
        .unwrap_or_else(|error| panic!("{error}: {xml}"));
    wrapped.children().cloned().collect()
}
