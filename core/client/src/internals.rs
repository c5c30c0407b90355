//! For benches and fuzz targets: the framing by itself, bytes of a stream in, what the engine is told out; and what went
//! over a connection, as the server meant it.

use std::{fs::OpenOptions, io::Write as _, path::PathBuf};

use whimbrel_engine::{Input, LinkFailure, LinkId};

use crate::{driver::feed, net::framing::Framer};

/// The framer of one connection.
#[derive(Debug, Default)]
pub struct Framing {
    framer: Framer,
    rest: Vec<u8>,
}

impl Framing {
    /// Reads bytes and appends what is complete. Where a new stream may begin, it goes on as if it did not.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub fn feed(&mut self, link: LinkId, bytes: &[u8], inputs: &mut Vec<Input>) -> Result<(), LinkFailure> {
        let mut bytes = bytes.to_vec();
        while !bytes.is_empty() {
            match feed(link, &mut self.framer, &bytes, &mut self.rest, inputs) {
                Some(failure) => return Err(failure),
                None => bytes = std::mem::take(&mut self.rest),
            }
        }
        Ok(())
    }
}

/// Where `WHIMBREL_RECORD` names a directory: what a connection carries inside of TLS, in a file for each direction of each.
/// There are secrets among it, so nothing but this feature, which no product is built with, can.
pub(crate) fn record(link: LinkId, direction: &str, bytes: &[u8]) {
    let Some(directory) = std::env::var_os("WHIMBREL_RECORD").map(PathBuf::from) else { return };
    let path = directory.join(format!("{}-{}.{direction}", std::process::id(), link.0));
    let written =
        OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| file.write_all(bytes));
    if let Err(error) = written {
        tracing::warn!(%error, "nothing is recorded");
    }
}
