//! The framing by itself, for benches and fuzz targets: bytes of a stream in, what the engine is told out.

use whimbrel_engine::{Input, LinkFailure, LinkId};

use crate::{driver, net::framing::Framer};

/// The framer of one connection.
#[derive(Debug, Default)]
pub struct Framing {
    framer: Framer,
}

impl Framing {
    /// Reads bytes and appends what is complete. Where a new stream may begin, it goes on as if it did not.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub fn feed(&mut self, link: LinkId, bytes: &[u8], inputs: &mut Vec<Input>) -> Result<(), LinkFailure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut frames = Vec::new();
            let used = self.framer.feed(rest, &mut frames);
            inputs.extend(frames.into_iter().map(|frame| driver::input(link, frame)));
            let used = used.map_err(|error| LinkFailure::Nonsense(error.to_string()))?;
            rest = &rest[used..];
        }
        Ok(())
    }
}
