//! The console's vault: one secret, from `WHIMBREL_KEY` or in the file `key` of the data directory. What else is kept has its
//! own file beside it.

use std::path::Path;

use whimbrel::{Error, FileVault, KeyVault, Scope};

#[derive(Debug)]
pub(crate) struct OneKey {
    given: Option<Vec<u8>>,
    file: FileVault,
}

impl OneKey {
    pub(crate) fn new(dir: &Path) -> Result<Self, Error> {
        let given = std::env::var("WHIMBREL_KEY").ok().map(|hex| from_hex(&hex)).transpose()?;
        Ok(Self { given, file: FileVault::new(dir) })
    }
}

impl KeyVault for OneKey {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match &self.given {
            Some(key) if is_secret(name) => Ok(Some(key.clone())),
            _ => self.file.load(file(name)),
        }
    }

    fn store(&self, name: &str, bytes: &[u8], scope: Scope) -> Result<(), Error> {
        self.file.store(file(name), bytes, scope)
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        self.file.delete(file(name))
    }
}

fn is_secret(name: &str) -> bool {
    name.starts_with("database-")
}

fn file(name: &str) -> &str {
    if is_secret(name) { "key" } else { name }
}

fn from_hex(hex: &str) -> Result<Vec<u8>, Error> {
    let bytes: Option<Vec<u8>> = (hex.len() == 96 && hex.is_ascii())
        .then(|| (0..48).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()).collect())
        .flatten();
    bytes.ok_or_else(|| Error::InvalidInput { what: "WHIMBREL_KEY takes 96 hex digits".into() })
}
