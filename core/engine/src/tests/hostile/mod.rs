//! What hostile contacts and servers do, by the names of the rows in `tests/hostile.txt`.
//!
//! "Nothing happens" means: what is kept and shown is as it was, the stanza counts as handled, the stream goes on.

mod archive;
mod floods;
mod forgery;
mod poison;
mod sizes;

use super::*;
