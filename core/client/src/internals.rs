//! The framing by itself, for benches and fuzz targets: bytes of a stream in, what the engine is told out.

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
