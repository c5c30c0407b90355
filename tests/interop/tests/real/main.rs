//! Against real servers. One program, so that it is linked once and its tests share the machine's cores.

#![allow(clippy::unwrap_used, reason = "all of it is tests, the functions that they share as well")]

mod accounts;
mod amendments;
mod bad_input;
mod broken_link;
mod cards;
mod catch_up;
mod contacts;
mod conversation;
mod feed;
mod full_disk;
mod hostile;
mod nim;
mod nodes;
mod one_round_trip;
mod people;
mod push;
mod queue;
mod read_position;
mod resume;
mod search;
mod servers;
mod services;
mod settings;
mod support;
mod text;
mod two_processes;
mod wake_up;

mod device {
    mod hostile;
}
mod stream {
    mod hostile;
}
